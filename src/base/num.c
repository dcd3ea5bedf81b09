/* num: units and calendars. This file alone knows the names of the units and how days are counted
 * (proleptic Gregorian, after Howard Hinnant's days_from_civil). */
#include "base/num.h"

#include "base/must.h"

#include <string.h>

struct unit {
    struct bytes name;
    uint64_t factor;
};

#define UNIT(name, factor)                                                                         \
    { { name, sizeof(name) - 1 }, factor }
#define DAY_MS       UINT64_C(86400000)
/* Ten years, of which three may be leap years. */
#define DURATION_MAX (3653 * DAY_MS)

/* Ascending, for the formatters. */
static const struct unit durations[] = { UNIT("ms", 1), UNIT("s", 1000), UNIT("min", 60000),
                                         UNIT("h", 3600000), UNIT("d", DAY_MS) };
static const struct unit windows[] = { UNIT("ms", 1),      UNIT("s", 1000),   UNIT("min", 60000),
                                       UNIT("h", 3600000), UNIT("d", DAY_MS), UNIT("hour", 3600000),
                                       UNIT("day", DAY_MS) };
static const struct unit sizes[] = { UNIT("B", 1), UNIT("KiB", 1 << 10), UNIT("MiB", 1 << 20),
                                     UNIT("GiB", 1 << 30), UNIT("TiB", UINT64_C(1) << 40) };

static const struct unit *find_unit(const struct unit *units, size_t count, struct bytes name) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(units[i].name, name))
            return &units[i];
    return NULL;
}

static size_t count_digits(struct bytes text) {
    size_t n = 0;
    while (n < text.len && ascii_is_digit(text.at[n]))
        n++;
    return n;
}

/* A number and its unit, multiplied, at most `max`. */
static bool parse_quantity(struct bytes text, const struct unit *unit, uint64_t max,
                           uint64_t *out) {
    uint64_t n;
    if (!unit || !bytes_to_u64(text, max / unit->factor, &n))
        return false;
    *out = n * unit->factor;
    return true;
}

bool num_parse_duration(struct bytes text, int64_t *ms_out) {
    size_t digits = count_digits(text);
    const struct unit *unit = find_unit(durations, COUNT_OF(durations), bytes_skip(text, digits));
    uint64_t ms;
    if (!parse_quantity(bytes_first(text, digits), unit, DURATION_MAX, &ms))
        return false;
    *ms_out = (int64_t)ms;
    return true;
}

bool num_parse_size(struct bytes text, uint64_t *out) {
    size_t digits = count_digits(text);
    struct bytes name = bytes_skip(text, digits);
    const struct unit *unit = name.len ? find_unit(sizes, COUNT_OF(sizes), name) : &sizes[0];
    return parse_quantity(bytes_first(text, digits), unit, UINT64_MAX, out);
}

bool num_parse_rate(struct bytes text, uint64_t *count_out, int64_t *window_ms_out) {
    struct bytes count;
    bytes_split(&text, '/', &count);
    size_t digits = count_digits(text);
    const struct unit *unit = find_unit(windows, COUNT_OF(windows), bytes_skip(text, digits));
    uint64_t n, ms;
    if (!bytes_to_u64(count, UINT64_MAX, &n))
        return false;
    if (!parse_quantity(digits ? bytes_first(text, digits) : B("1"), unit, DURATION_MAX, &ms))
        return false;
    if (ms == 0)
        return false;
    *count_out = n;
    *window_ms_out = (int64_t)ms;
    return true;
}

bool num_parse_percent(struct bytes text, unsigned *out) {
    uint64_t n;
    if (text.len < 2 || text.at[text.len - 1] != '%')
        return false;
    if (!bytes_to_u64(bytes_first(text, text.len - 1), 100, &n))
        return false;
    *out = (unsigned)n;
    return true;
}

static void format_quantity(struct buf *b, uint64_t n, const struct unit *units, size_t count) {
    while (count > 1 && n % units[count - 1].factor != 0)
        count--;
    buf_u64(b, n / units[count - 1].factor);
    buf_add(b, units[count - 1].name);
}

void num_format_duration(struct buf *b, int64_t ms) {
    size_t start = b->len;
    if (ms < 0)
        buf_char(b, '-');
    if (ms == 0)
        buf_str(b, "0s");
    else
        format_quantity(b, ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms, durations,
                        COUNT_OF(durations));
    if (b->full)
        buf_cut(b, start);
}

void num_format_size(struct buf *b, uint64_t octets) {
    size_t start = b->len;
    format_quantity(b, octets, sizes, octets ? COUNT_OF(sizes) : 1);
    if (b->full)
        buf_cut(b, start);
}

struct moment {
    int64_t year;
    unsigned month, day, weekday; /* 1 to 12, 1 to 31, 0 is Sunday */
    unsigned hour, minute, second, ms;
};

static int64_t floor_div(int64_t n, int64_t by) {
    return n / by - (n % by < 0);
}

/* Years begin in March here, so that the leap day is the last of its year. */
static int64_t days_of(int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    int64_t era = floor_div(year, 400);
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct moment moment_of(int64_t wall_ms) {
    int64_t days = floor_div(wall_ms, (int64_t)DAY_MS);
    unsigned rest = (unsigned)(wall_ms - days * (int64_t)DAY_MS);
    int64_t since = days + 719468;
    int64_t era = floor_div(since, 146097);
    unsigned doe = (unsigned)(since - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    struct moment m = { .day = doy - (153 * mp + 2) / 5 + 1, .month = mp < 10 ? mp + 3 : mp - 9 };
    m.year = (int64_t)yoe + era * 400 + (m.month <= 2);
    m.weekday = (unsigned)((days % 7 + 11) % 7);
    m.hour = rest / 3600000;
    m.minute = rest / 60000 % 60;
    m.second = rest / 1000 % 60;
    m.ms = rest % 1000;
    return m;
}

/* By hand, because every event has a time and printf would be the dearest part of it. */
static void put_digits(char *to, unsigned n, size_t width) {
    while (width-- > 0) {
        to[width] = (char)('0' + n % 10);
        n /= 10;
    }
}

/* Within the years that have four digits. */
static int64_t clamp_time(int64_t wall_ms) {
    const int64_t first = INT64_C(-62167219200000), last = INT64_C(253402300799999);
    return wall_ms < first ? first : wall_ms > last ? last : wall_ms;
}

void num_format_rfc3339(struct buf *b, int64_t wall_ms) {
    struct moment m = moment_of(clamp_time(wall_ms));
    char text[] = "0000-00-00T00:00:00.000Z";
    put_digits(text, (unsigned)m.year, 4);
    put_digits(text + 5, m.month, 2);
    put_digits(text + 8, m.day, 2);
    put_digits(text + 11, m.hour, 2);
    put_digits(text + 14, m.minute, 2);
    put_digits(text + 17, m.second, 2);
    put_digits(text + 20, m.ms, 3);
    buf_add(b, bytes_of(text, sizeof text - 1));
}

void num_format_rfc5322(struct buf *b, int64_t wall_ms) {
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct moment m = moment_of(clamp_time(wall_ms));
    char text[] = "Thu, 01 Jan 1970 00:00:00 +0000";
    memcpy(text, days + (size_t)m.weekday * 3, 3);
    put_digits(text + 5, m.day, 2);
    memcpy(text + 8, months + ((size_t)m.month - 1) * 3, 3);
    put_digits(text + 12, (unsigned)m.year, 4);
    put_digits(text + 17, m.hour, 2);
    put_digits(text + 20, m.minute, 2);
    put_digits(text + 23, m.second, 2);
    buf_add(b, bytes_of(text, sizeof text - 1));
}

/* Exactly `width` digits from the front of *text. */
static bool take_digits(struct bytes *text, size_t width, unsigned max, unsigned *out) {
    uint64_t n;
    if (text->len < width || !bytes_to_u64(bytes_first(*text, width), max, &n))
        return false;
    *text = bytes_skip(*text, width);
    *out = (unsigned)n;
    return true;
}

static bool take(struct bytes *text, char c) {
    if (text->len == 0 || text->at[0] != c)
        return false;
    *text = bytes_skip(*text, 1);
    return true;
}

static unsigned days_in(int64_t year, unsigned month) {
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(struct bytes *text, int64_t *days_out) {
    unsigned year, month, day;
    if (!take_digits(text, 4, 9999, &year) || !take(text, '-') ||
        !take_digits(text, 2, 12, &month) || !take(text, '-') || !take_digits(text, 2, 31, &day))
        return false;
    if (month == 0 || day == 0 || day > days_in(year, month))
        return false;
    *days_out = days_of(year, month, day);
    return true;
}

/* ".123456" as milliseconds, what is finer cut off; nothing is 0. */
static bool take_fraction(struct bytes *text, unsigned *ms_out) {
    *ms_out = 0;
    if (!take(text, '.'))
        return true;
    size_t digits = count_digits(*text);
    for (size_t i = 0; i < 3; i++)
        *ms_out = *ms_out * 10 + (i < digits ? (unsigned)(text->at[i] - '0') : 0);
    *text = bytes_skip(*text, digits);
    return digits > 0;
}

/* "Z" or "+02:00", in minutes. */
static bool take_offset(struct bytes *text, int64_t *minutes_out) {
    unsigned hours, minutes;
    *minutes_out = 0;
    if (take(text, 'Z') || take(text, 'z'))
        return true;
    bool west = take(text, '-');
    if ((!west && !take(text, '+')) || !take_digits(text, 2, 23, &hours) || !take(text, ':') ||
        !take_digits(text, 2, 59, &minutes))
        return false;
    *minutes_out = (int64_t)(hours * 60 + minutes) * (west ? -1 : 1);
    return true;
}

bool num_parse_rfc3339(struct bytes text, int64_t *wall_ms_out) {
    int64_t days, offset = 0;
    unsigned hour = 0, minute = 0, second = 0, ms = 0;
    if (!take_date(&text, &days))
        return false;
    if (text.len > 0) {
        if (!take(&text, 'T') && !take(&text, 't'))
            return false;
        /* 60 is a leap second: it counts as the first of the next minute. */
        if (!take_digits(&text, 2, 23, &hour) || !take(&text, ':') ||
            !take_digits(&text, 2, 59, &minute) || !take(&text, ':') ||
            !take_digits(&text, 2, 60, &second))
            return false;
        if (!take_fraction(&text, &ms) || !take_offset(&text, &offset) || text.len > 0)
            return false;
    }
    int64_t minutes = (days * 24 + hour) * 60 + minute - offset;
    *wall_ms_out = (minutes * 60 + second) * 1000 + ms;
    return true;
}
