/* must: assertions that stay on in production. A broken one prints where and stops the process; the
 * parent starts another. For bugs only, never for input, disk or network. */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#define MUST(condition)                                                                            \
    ((condition) ? (void)0 : must_fail(#condition, __FILE__, __LINE__, __func__))

_Noreturn void must_fail(const char *condition, const char *file, int line, const char *function);

#define COUNT_OF(array)                   (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(member, type, field) ((type *)(void *)((char *)(member)-offsetof(type, field)))

#endif
