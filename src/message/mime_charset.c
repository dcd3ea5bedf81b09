/* mime_charset: any charset that mail in practice uses, as UTF-8. This file alone calls iconv(3). The table
 * is a list of what is allowed, too: a name from a message never reaches the library, and none of its
 * rarer converters is ever loaded. */
#include "base/must.h"
#include "message/mime.h"

#include <iconv.h>

enum { NAME = 40 };

/* The library's name, or a superset's where programs send more than they announce. */
static const struct {
    struct bytes name;
    const char *library; /* NULL: UTF-8 or windows-1252, without the library */
} charsets[] = {
    /* clang-format off */
    { { "utf-8", 5 }, NULL },            { { "utf8", 4 }, NULL },
    { { "us-ascii", 8 }, NULL },         { { "ascii", 5 }, NULL },
    { { "iso-8859-1", 10 }, NULL },      { { "latin1", 6 }, NULL },
    { { "windows-1252", 12 }, NULL },    { { "cp1252", 6 }, NULL },
    { { "iso-2022-jp", 11 }, "ISO-2022-JP-2" }, { { "iso-2022-jp-2", 13 }, "ISO-2022-JP-2" },
    { { "iso-2022-jp-ms", 14 }, "ISO-2022-JP-2" }, { { "cp50220", 7 }, "ISO-2022-JP-2" },
    { { "cp50221", 7 }, "ISO-2022-JP-2" }, { { "csiso2022jp", 11 }, "ISO-2022-JP-2" },
    { { "iso-2022-kr", 11 }, "ISO-2022-KR" }, { { "iso-2022-cn", 11 }, "ISO-2022-CN" },
    { { "shift_jis", 9 }, "CP932" },     { { "shift-jis", 9 }, "CP932" },
    { { "sjis", 4 }, "CP932" },          { { "x-sjis", 6 }, "CP932" },
    { { "cp932", 5 }, "CP932" },         { { "windows-31j", 11 }, "CP932" },
    { { "ms932", 5 }, "CP932" },         { { "ms_kanji", 8 }, "CP932" },
    { { "euc-jp", 6 }, "EUC-JP-MS" },    { { "x-euc-jp", 8 }, "EUC-JP-MS" },
    { { "eucjp", 5 }, "EUC-JP-MS" },
    { { "gb18030", 7 }, "GB18030" },     { { "gb2312", 6 }, "GB18030" },
    { { "gbk", 3 }, "GB18030" },         { { "x-gbk", 5 }, "GB18030" },
    { { "cp936", 5 }, "GB18030" },       { { "gb_2312-80", 10 }, "GB18030" },
    { { "euc-cn", 6 }, "GB18030" },      { { "hz-gb-2312", 10 }, NULL },
    { { "big5", 4 }, "BIG5-HKSCS" },     { { "big5-hkscs", 10 }, "BIG5-HKSCS" },
    { { "cp950", 5 }, "CP950" },         { { "x-big5", 6 }, "BIG5-HKSCS" },
    { { "euc-kr", 6 }, "CP949" },        { { "ks_c_5601-1987", 14 }, "CP949" },
    { { "cp949", 5 }, "CP949" },         { { "uhc", 3 }, "CP949" },
    { { "koi8-r", 6 }, "KOI8-R" },       { { "koi8-u", 6 }, "KOI8-U" },
    { { "koi8", 4 }, "KOI8-R" },         { { "windows-1251", 12 }, "CP1251" },
    { { "cp1251", 6 }, "CP1251" },       { { "windows-1250", 12 }, "CP1250" },
    { { "cp1250", 6 }, "CP1250" },       { { "windows-1253", 12 }, "CP1253" },
    { { "windows-1254", 12 }, "CP1254" },{ { "windows-1255", 12 }, "CP1255" },
    { { "windows-1256", 12 }, "CP1256" },{ { "windows-1257", 12 }, "CP1257" },
    { { "windows-1258", 12 }, "CP1258" },{ { "windows-874", 11 }, "CP874" },
    { { "tis-620", 7 }, "CP874" },       { { "ibm866", 6 }, "CP866" },
    { { "cp866", 5 }, "CP866" },         { { "ibm850", 6 }, "CP850" },
    { { "cp850", 5 }, "CP850" },         { { "ibm852", 6 }, "CP852" },
    { { "cp437", 5 }, "CP437" },         { { "ibm437", 6 }, "CP437" },
    { { "macintosh", 9 }, "MACINTOSH" },
    { { "iso-8859-2", 10 }, "ISO-8859-2" },   { { "iso-8859-3", 10 }, "ISO-8859-3" },
    { { "iso-8859-4", 10 }, "ISO-8859-4" },   { { "iso-8859-5", 10 }, "ISO-8859-5" },
    { { "iso-8859-6", 10 }, "ISO-8859-6" },   { { "iso-8859-7", 10 }, "ISO-8859-7" },
    { { "iso-8859-8", 10 }, "ISO-8859-8" },   { { "iso-8859-8-i", 12 }, "ISO-8859-8" },
    { { "iso-8859-9", 10 }, "CP1254" },       { { "iso-8859-10", 11 }, "ISO-8859-10" },
    { { "iso-8859-11", 11 }, "CP874" },       { { "iso-8859-13", 11 }, "ISO-8859-13" },
    { { "iso-8859-14", 11 }, "ISO-8859-14" }, { { "iso-8859-15", 11 }, "ISO-8859-15" },
    { { "iso-8859-16", 11 }, "ISO-8859-16" }, { { "latin2", 6 }, "ISO-8859-2" },
    { { "utf-7", 5 }, "UTF-7" },         { { "unicode-1-1-utf-7", 17 }, "UTF-7" },
    { { "utf-16", 6 }, "UTF-16" },       { { "utf-16le", 8 }, "UTF-16LE" },
    { { "utf-16be", 8 }, "UTF-16BE" },   { { "utf-32", 6 }, "UTF-32" },
    /* clang-format on */
};

static const char *find_library(struct bytes charset) {
    if (charset.len > NAME)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(charsets); i++)
        if (bytes_equal_nocase(charsets[i].name, charset))
            return charsets[i].library;
    return NULL;
}

#define REPLACEMENT "\xef\xbf\xbd"

static void put_character(struct buf *b, unsigned code) {
    char c[3];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
    if (n == 1) {
        c[0] = (char)code;
    } else if (n == 2) {
        c[0] = (char)(0xc0 | code >> 6);
        c[1] = (char)(0x80 | (code & 63));
    } else {
        c[0] = (char)(0xe0 | code >> 12);
        c[1] = (char)(0x80 | (code >> 6 & 63));
        c[2] = (char)(0x80 | (code & 63));
    }
    buf_add(b, bytes_of(c, n));
}

static void from_1252(struct buf *out, struct bytes text) {
    static const uint16_t upper[32] = {
        0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
    };
    for (size_t i = 0; i < text.len && !out->full; i++) {
        unsigned char c = (unsigned char)text.at[i];
        put_character(out, c >= 0x80 && c < 0xa0 ? upper[c - 0x80] : c);
    }
}

static void from_utf8(struct buf *out, struct bytes text) {
    size_t at = 0;
    while (at < text.len && !out->full) {
        size_t n = bytes_utf8(bytes_skip(text, at));
        buf_add(out, n ? bytes_slice(text, at, at + n) : B(REPLACEMENT));
        at += n ? n : 1;
    }
}

/* Mostly UTF-8 with something broken in it, and not text in an eight-bit charset. */
static bool is_mostly_utf8(struct bytes text) {
    size_t good = 0, bad = 0;
    for (size_t at = 0; at < text.len;) {
        size_t n = bytes_utf8(bytes_skip(text, at));
        good += n > 1;
        bad += n == 0;
        at += n ? n : 1;
    }
    return good && good >= bad;
}

/* What comes out of the library is UTF-8; U+FFFD for each octet that it cannot read. */
static bool convert(struct buf *out, const char *library, struct bytes text) {
    iconv_t c = iconv_open("UTF-8", library);
    if (c == (iconv_t)-1)
        return false;
    char piece[1024], *in = (char *)(uintptr_t)text.at;
    size_t left = text.len;
    while (!out->full) {
        char *to = piece;
        size_t room = sizeof piece, before = left;
        size_t result = iconv(c, left ? &in : NULL, &left, &to, &room);
        buf_add(out, bytes_of(piece, sizeof piece - room));
        if (result != (size_t)-1 && !before)
            break;
        if (result != (size_t)-1 || room < sizeof piece)
            continue; /* all taken, or the piece was full */
        if (before == left && left) {
            buf_add(out, B(REPLACEMENT));
            in++;
            left--;
        } else if (!left) {
            break;
        }
    }
    iconv_close(c);
    return true;
}

/* Japanese mail without a charset, and with a wrong one: ESC $ B or ESC $ @ begins kanji. */
static bool is_iso_2022_jp(struct bytes text) {
    return bytes_search(text, B("\x1b$B")) >= 0 || bytes_search(text, B("\x1b$@")) >= 0;
}

void mime_utf8(struct buf *out, struct bytes charset, struct bytes text) {
    if (bytes_is_ascii(text) && bytes_find(text, '\x1b') < 0 && bytes_find(text, '+') < 0 &&
        bytes_find(text, 0) < 0) {
        buf_add(out, text);
        return;
    }
    const char *library = find_library(charset);
    if (!library && is_iso_2022_jp(text))
        library = "ISO-2022-JP-2";
    if (library && convert(out, library, text))
        return;
    if (bytes_is_utf8(text) || is_mostly_utf8(text))
        from_utf8(out, text);
    else
        from_1252(out, text);
}
