/* Reads the prompts and responses of records: validates them, counts their characters, and finds the
   beginnings of responses that may be refusals. Every read is bounded by the end of the payload. */

#ifndef PLUMBLINE_TEXTS_H
#define PLUMBLINE_TEXTS_H

#include "json_text.h"

/* A text of a record: its length, and the part after what is kept. */
typedef struct {
    int64_t chars;
    Place from, to;
} Text;

/* The part of a response that is kept: a part of reasoning and `head` characters after it, if these
   begin with one of the openings, or always if there are no openings. The openings are lines in
   lower case, sorted; first[c] is the first one that begins with the byte c, NULL if there is none. */
typedef struct {
    ptrdiff_t head, length;
    Place openings;
    Place first[256];
} Keep;

/* Names of the tags of a part of reasoning. */
static const char *const REASONING[] = {"think", "thinking", "thought", "reasoning", "THINK"};

/* --- strings ------------------------------------------------------------------------------- */

/* Returns whether a byte of a string is one unescaped ASCII character. */
static inline bool is_simple(uint8_t c)
{
    return (uint8_t)(c - 0x20) < 0x60 && c != '"' && c != '\\';
}

/* Returns the end of a run of simple bytes. */
static inline Place simple_end(Place p, Place end)
{
#ifdef __SSE2__
    const __m128i low = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'),
                  backslash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i other = _mm_cmplt_epi8(c, low); /* signed: bytes that are not ASCII are low too */
        other = _mm_or_si128(other, _mm_cmpeq_epi8(c, quote));
        other = _mm_or_si128(other, _mm_cmpeq_epi8(c, backslash));
        int mask = _mm_movemask_epi8(other);
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#else
    const uint64_t ones = UINT64_MAX / 0xff; /* 1 in every byte */
    for (; end - p >= 8; p += 8) {
        uint64_t c;
        memcpy(&c, p, sizeof c);
        uint64_t quote = c ^ (ones * '"'), backslash = c ^ (ones * '\\');
        uint64_t other = c | ((c - ones * 0x20) & ~c) | ((quote - ones) & ~quote)
                         | ((backslash - ones) & ~backslash);
        if (other & (ones << 7))
            break;
    }
#endif
    while (p < end && is_simple(*p))
        p++;
    return p;
}

/* Reads the escape at p. Returns its length in bytes, or 0 if it is invalid or a lone surrogate. */
static inline int escape(Place p, Place end, uint32_t *character)
{
    *character = ' '; /* short escapes are treated as blanks, which is safe: more is kept */
    if (end - p < 2)
        return 0;
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return 2;
    case 'u':
        break;
    default:
        return 0;
    }
    int unit = unit_at(p + 2, end);
    if (unit < 0)
        return 0;
    *character = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    if (unit > 0xdbff || end - p < 8 || p[6] != '\\' || p[7] != 'u')
        return 0;
    int low = unit_at(p + 8, end);
    *character = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

/* Reads a character of several bytes (Unicode, table 3-7). Returns its length or 0. */
static inline int utf8(Place p, Place end, uint32_t *character)
{
    uint8_t first = p[0];
    int bytes = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (bytes == 0 || end - p < bytes)
        return 0;
    uint32_t value = first & (0x7f >> bytes);
    for (int i = 1; i < bytes; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    *character = value;
    if (bytes == 3)
        return value < 0x800 || (value >= 0xd800 && value <= 0xdfff) ? 0 : 3;
    if (bytes == 4)
        return value < 0x10000 || value > 0x10ffff ? 0 : 4;
    return 2;
}

/* Returns whether a character is certainly visible. False for all white space of Python and for
   some other characters. */
static inline bool is_visible(uint32_t c)
{
    if (c < 0x80)
        return c > 0x20;
    return c > 0xa0 && c != 0x1680 && !(c >= 0x2000 && c <= 0x205f) && c != 0x3000;
}

/* Reads a text and returns its closing quote, or NULL if it is not plain.

   Removes the text after the first `head` characters, or after the first visible character if that
   is later, so that the rest shows whether the text is blank. With a head of 0, removes all. */
static inline Place read_text(Place p, Place end, ptrdiff_t head, Text *text)
{
    int64_t chars = 0;
    bool visible = head == 0;
    Place cut = visible ? p : NULL;
    while (p < end && *p != '"') {
        if (is_simple(*p)) {
            Place run = p;
            p = simple_end(p, end);
            Place at = run;
            while (!visible && at < p)
                visible = *at++ != ' ';
            if (cut == NULL && visible) {
                int64_t needed = head > chars ? head - chars : 0;
                if (needed < at - run)
                    needed = at - run;
                if (needed <= p - run)
                    cut = run + needed;
            }
            chars += p - run;
            continue;
        }
        uint32_t character;
        int bytes = *p == '\\' ? escape(p, end, &character) : utf8(p, end, &character);
        if (bytes == 0)
            return NULL;
        p += bytes;
        chars++;
        visible = visible || is_visible(character);
        if (cut == NULL && visible && chars >= head)
            cut = p;
    }
    if (p >= end)
        return NULL;
    *text = (Text){chars, cut ? cut : p, p};
    return p;
}

/* --- chat messages ------------------------------------------------------------------------- */

/* Reads a string and adds its number of characters. */
static inline bool count_text(Bytes *in, int64_t *chars)
{
    Text text;
    if (!accept(in, '"'))
        return false;
    Place close = read_text(in->at, in->end, 0, &text);
    if (close == NULL)
        return false;
    in->at = close + 1;
    *chars += text.chars;
    return true;
}

/* Reads the only text of an object, or null, by the name of its member; the others are skipped.
   `texts` reads what is no text. */
typedef bool (*ReadTexts)(Bytes *in, int64_t *chars);

static inline bool count_member(Bytes *in, const char *name, ReadTexts texts, int64_t *chars)
{
    Bytes key;
    bool seen = false;
    if (!accept(in, '{'))
        return false;
    if (accept(in, '}'))
        return true;
    do {
        if (!read_key(in, &key))
            return false;
        if (!is_key(key, name)) {
            if (!skip_value(in, 0))
                return false;
            continue;
        }
        skip_blanks(in);
        if (seen || in->at == in->end)
            return false;
        seen = true;
        bool done = *in->at == '"'   ? count_text(in, chars)
                    : *in->at == 'n' ? skip_word(in, "null")
                                     : texts != NULL && texts(in, chars);
        if (!done)
            return false;
    } while (accept(in, ','));
    return accept(in, '}');
}

/* Reads the parts of a message: texts, and objects with a text. Each is on a line of its own. */
static inline bool count_parts(Bytes *in, int64_t *chars)
{
    int64_t lines = 0;
    if (!accept(in, '['))
        return false;
    if (accept(in, ']'))
        return true;
    do {
        int64_t before = *chars;
        skip_blanks(in);
        if (in->at < in->end && *in->at == '"' ? !count_text(in, chars)
                                               : !count_member(in, "text", NULL, chars))
            return false;
        lines += *chars > before;
    } while (accept(in, ','));
    *chars += lines > 1 ? lines - 1 : 0;
    return accept(in, ']');
}

/* Reads chat messages at p, whose texts are counted and which are all removed. Returns their end; NULL
   if they do not have the usual form. */
static inline Place read_chat(Place p, Place end, Text *text)
{
    Bytes in = {p, end};
    int64_t chars = 0;
    if (!accept(&in, '['))
        return NULL;
    if (!accept(&in, ']')) {
        do {
            if (!count_member(&in, "content", count_parts, &chars))
                return NULL;
        } while (accept(&in, ','));
        if (!accept(&in, ']'))
            return NULL;
    }
    if (!is_utf8((Bytes){p, in.at}))
        return NULL;
    *text = (Text){chars, p + 1, in.at - 1};
    return in.at;
}

/* --- beginnings of responses ---------------------------------------------------------------- */

static inline bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static inline uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Returns whether a text at p may begin with an opening, of either case. It may if they are equal
   up to a byte of the text that is not simple: the reader compares only ASCII. */
static inline bool may_begin_with(Place opening, Place p, Place end)
{
    for (; *opening != '\n'; opening++, p++) {
        if (p >= end || !is_simple(*p))
            return true;
        if (lower(*p) != *opening)
            return false;
    }
    return true;
}

/* Returns whether a response at p may be blank or begin with one of the openings. It may not if it
   begins with an ASCII letter or digit and no opening. */
static inline bool may_matter(const Keep *keep, Place p, Place end)
{
    if (p >= end || !is_alphanumeric(p[0]) || keep->length == 0)
        return true;
    Place opening = keep->first[lower(p[0])];
    Place stop = keep->openings + keep->length;
    if (opening == NULL)
        return false;
    while (opening < stop && *opening == lower(p[0])) {
        if (may_begin_with(opening, p, end))
            return true;
        opening = (Place)memchr(opening, '\n', (size_t)(stop - opening)) + 1;
    }
    return false;
}

/* Reads a character of a text at p. Returns its length in bytes, or 0 if it is invalid. A short
   escape is read as a blank. */
static inline int read_character(Place p, Place end, uint32_t *character)
{
    if (p >= end)
        return 0;
    if (is_simple(*p)) {
        *character = *p;
        return 1;
    }
    return *p == '\\' ? escape(p, end, character) : utf8(p, end, character);
}

/* Returns the first place of `name` after a slash, or NULL if there is none. */
static inline Place find_close(Place p, Place end, Place name, size_t length)
{
    while (p < end && (p = memchr(p, '/', (size_t)(end - p))) != NULL) {
        p++;
        if ((size_t)(end - p) >= length && memcmp(p, name, length) == 0)
            return p;
    }
    return NULL;
}

/* Returns the size of a part of reasoning at the beginning of a text at p, at least; 0 if there is
   none. It is the whole rest if the end is not certain. */
static inline ptrdiff_t reasoning_of(Place p, Place end)
{
    Place start = p;
    uint32_t character = ' ';
    int bytes = 0;
    while (character <= ' ') {
        p += bytes;
        if ((bytes = read_character(p, end, &character)) == 0)
            return 0;
    }
    if (character != '<' && character != '[')
        return 0;
    Place name = p += bytes;
    while (p < end && (uint8_t)(lower(*p) - 'a') < 26)
        p++;
    size_t length = (size_t)(p - name);
    if (p < end && *p == '\\') {
        if (read_character(p, end, &character) == 0 || (character != '>' && character != ']'))
            return end - start; /* a name with an escape */
    }
    for (size_t i = 0; i < sizeof REASONING / sizeof *REASONING; i++) {
        if (length != strlen(REASONING[i]) || memcmp(name, REASONING[i], length) != 0)
            continue;
        Place close = find_close(p, end, name, length);
        return close ? close + length + 1 - start : end - start;
    }
    return 0;
}

/* Returns how many characters of a response at p to keep. */
static inline ptrdiff_t head_of(const Keep *keep, Place p, Place end)
{
    if (!may_matter(keep, p, end))
        return 0;
    return is_alphanumeric(p < end ? *p : ' ') ? keep->head : reasoning_of(p, end) + keep->head;
}

/* Fills `first`. */
static inline void index_openings(Keep *keep)
{
    memset(keep->first, 0, sizeof keep->first);
    Place p = keep->openings, end = p + keep->length;
    while (p < end) {
        if (keep->first[*p] == NULL)
            keep->first[*p] = p;
        Place line = memchr(p, '\n', (size_t)(end - p));
        p = line ? line + 1 : end;
    }
}

#endif
