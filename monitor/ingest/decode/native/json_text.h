/* Reads JSON text strictly, and writes it. The readers of formats share it.

   Readers return false for everything that is not surely valid, and for some valid JSON: numbers with
   more than 15 digits in front of the point or an exponent of three digits, and nesting deeper than
   MAX_DEPTH. Such messages are left to the decoders in Python. Every read is bounded by the end of the
   text, which must be valid UTF-8: see `is_utf8`. */

#ifndef PLUMBLINE_JSON_TEXT_H
#define PLUMBLINE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef const uint8_t *Place;

typedef struct {
    Place at, end;
} Bytes;

enum { MAX_DEPTH = 24, MAX_ROLE_BYTES = 32, MAX_PLACEHOLDER_BYTES = 240, MAX_MESSAGES = 1000 };

/* --- bytes --------------------------------------------------------------------------------- */

/* Returns the end of a run of ASCII, or a place within its last bytes. */
static inline Place ascii_end(Place p, Place end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        int mask = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)p));
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    uint64_t word;
    while (end - p >= 8 && (memcpy(&word, p, 8), (word & 0x8080808080808080u) == 0))
        p += 8;
    return p;
}

static inline bool is_utf8(Bytes text)
{
    Place p = text.at, end = text.end;
    while (p < end) {
        p = ascii_end(p, end);
        if (p == end)
            break;
        uint8_t c = *p++;
        if (c < 0x80)
            continue;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || end - p < more)
            return false;
        uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (*p < low || *p > high)
            return false;
        for (int i = 1; i < more; i++)
            if ((p[i] & 0xc0) != 0x80)
                return false;
        p += more;
    }
    return true;
}

static inline Bytes literal(const char *text)
{
    return (Bytes){(Place)text, (Place)text + strlen(text)};
}

static inline bool is_key(Bytes key, const char *name)
{
    return strlen(name) == (size_t)(key.end - key.at) && memcmp(name, key.at, strlen(name)) == 0;
}

static inline bool is_one_of(Bytes text, const char *const *names)
{
    for (; *names != NULL; names++)
        if (is_key(text, *names))
            return true;
    return false;
}

static inline bool is_escaped(Bytes text)
{
    return text.at < text.end && memchr(text.at, '\\', (size_t)(text.end - text.at)) != NULL;
}

/* --- reading ------------------------------------------------------------------------------- */

static inline void skip_blanks(Bytes *in)
{
    while (in->at < in->end
           && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r'))
        in->at++;
}

static inline bool accept(Bytes *in, char c)
{
    skip_blanks(in);
    if (in->at == in->end || *in->at != c)
        return false;
    in->at++;
    return true;
}

static inline bool is_end_of_json(Bytes *in)
{
    skip_blanks(in);
    return in->at == in->end;
}

static inline int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads the four digits of an escape at `p`; -1 if they are none. */
static inline int unit_at(Place p, Place end)
{
    int value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Returns the end of a run of bytes that need no look: no quotes, backslashes or control characters. */
static inline Place plain_end(Place p, Place end)
{
#ifdef __SSE2__
    const __m128i control = _mm_set1_epi8(0x1f), quote = _mm_set1_epi8('"'),
                  backslash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i other = _mm_cmpeq_epi8(_mm_min_epu8(c, control), c);
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
        uint64_t other = ((c - ones * 0x20) & ~c) | ((quote - ones) & ~quote)
                         | ((backslash - ones) & ~backslash);
        if (other & (ones << 7))
            break;
    }
#endif
    while (p < end && *p >= 0x20 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Returns the end of the escape at `p`, a backslash; NULL if it is invalid or half a character. */
static inline Place escape_end(Place p, Place end)
{
    if (end - p < 2)
        return NULL;
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return p + 2;
    case 'u':
        break;
    default:
        return NULL;
    }
    int unit = unit_at(p + 2, end);
    if (unit < 0 || (unit >= 0xdc00 && unit < 0xe000))
        return NULL;
    p += 6;
    if (unit < 0xd800 || unit >= 0xdc00)
        return p;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return NULL;
    unit = unit_at(p + 2, end);
    return unit >= 0xdc00 && unit < 0xe000 ? p + 6 : NULL;
}

/* Reads a string; `text` is what is between its quotes, with its escapes. */
static inline bool read_string(Bytes *in, Bytes *text)
{
    if (!accept(in, '"'))
        return false;
    Place p = text->at = in->at, end = in->end;
    for (;;) {
        p = plain_end(p, end);
        if (p == end)
            return false;
        if (*p == '"')
            break;
        if (*p != '\\' || (p = escape_end(p, end)) == NULL)
            return false;
    }
    text->end = p;
    in->at = p + 1;
    return true;
}

/* Reads the key of an object's member, which must have no escapes. */
static inline bool read_key(Bytes *in, Bytes *key)
{
    return read_string(in, key) && !is_escaped(*key) && accept(in, ':');
}

static inline bool skip_digits(Bytes *in)
{
    Place start = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return in->at > start;
}

/* Skips a number with at most so many digits in front of the point, and in its exponent. */
static inline bool skip_number_within(Bytes *in, ptrdiff_t digits, ptrdiff_t exponent)
{
    if (in->at < in->end && *in->at == '-')
        in->at++;
    Place first = in->at;
    if (!skip_digits(in) || (*first == '0' && in->at - first > 1) || in->at - first > digits)
        return false;
    if (in->at < in->end && *in->at == '.') {
        in->at++;
        if (!skip_digits(in))
            return false;
    }
    if (in->at == in->end || (*in->at | 0x20) != 'e')
        return true;
    in->at++;
    if (in->at < in->end && (*in->at == '+' || *in->at == '-'))
        in->at++;
    first = in->at;
    return skip_digits(in) && in->at - first <= exponent;
}

static inline bool skip_number(Bytes *in)
{
    return skip_number_within(in, 15, 2);
}

static inline bool skip_any_number(Bytes *in)
{
    return skip_number_within(in, PTRDIFF_MAX, PTRDIFF_MAX);
}

static inline bool skip_word(Bytes *in, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, word, size) != 0)
        return false;
    in->at += size;
    return true;
}

/* Skips a value. depth: number of lists and objects around it. number: skips a number. */
static bool skip_value_with(Bytes *in, int depth, bool (*number)(Bytes *))
{
    Bytes text;
    skip_blanks(in);
    if (in->at == in->end || depth >= MAX_DEPTH)
        return false;
    switch (*in->at) {
    case '"': return read_string(in, &text);
    case 't': return skip_word(in, "true");
    case 'f': return skip_word(in, "false");
    case 'n': return skip_word(in, "null");
    case '[':
        in->at++;
        if (accept(in, ']'))
            return true;
        do {
            if (!skip_value_with(in, depth + 1, number))
                return false;
        } while (accept(in, ','));
        return accept(in, ']');
    case '{':
        in->at++;
        if (accept(in, '}'))
            return true;
        do {
            if (!read_string(in, &text) || !accept(in, ':') || !skip_value_with(in, depth + 1, number))
                return false;
        } while (accept(in, ','));
        return accept(in, '}');
    default: return number(in);
    }
}

/* Skips a value whose numbers are all exact. */
static inline bool skip_value(Bytes *in, int depth)
{
    return skip_value_with(in, depth, skip_number);
}

/* --- writing ------------------------------------------------------------------------------- */

/* Memory that is written to. `ok` is false from the first problem on. */
typedef struct {
    char *at, *end;
    bool ok;
} Out;

static inline void put(Out *out, const char *text, size_t size)
{
    if (!out->ok || (size_t)(out->end - out->at) < size) {
        out->ok = false;
        return;
    }
    memcpy(out->at, text, size);
    out->at += size;
}

static inline void put_literal(Out *out, const char *text)
{
    put(out, text, strlen(text));
}

static inline void put_bytes(Out *out, Bytes text)
{
    put(out, (const char *)text.at, (size_t)(text.end - text.at));
}

/* Writes a number with at least `least` digits, at most 20. */
static inline void put_digits(Out *out, uint64_t number, int least)
{
    char text[24];
    char *end = text + sizeof text, *p = end;
    do {
        *--p = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || end - p < least);
    put(out, p, (size_t)(end - p));
}

/* Writes a number of units of 10^-digits as a fraction, exactly. */
static inline void put_fraction(Out *out, uint64_t units, int digits)
{
    uint64_t unit = 1;
    for (int i = 0; i < digits; i++)
        unit *= 10;
    put_digits(out, units / unit, 1);
    put_literal(out, ".");
    put_digits(out, units % unit, digits);
}

/* --- texts of chat messages ---------------------------------------------------------------- */

/* Returns whether a text may be one that stands for a redacted one. */
static inline bool maybe_placeholder(Bytes text)
{
    if (text.end - text.at > MAX_PLACEHOLDER_BYTES)
        return false;
    for (Place p = text.at; text.end - p >= 6; p++) {
        if ((p[0] | 0x20) == 'r' && (p[1] | 0x20) == 'e' && (p[2] | 0x20) == 'd'
            && (p[3] | 0x20) == 'a' && (p[4] | 0x20) == 'c' && (p[5] | 0x20) == 't')
            return true;
        if (p[0] == '\\' && p[1] == 'u' && p[2] == '0' && p[3] == '0' && p[4] >= '4' && p[4] <= '7')
            return true; /* an escaped letter */
    }
    return false;
}

/* What the parts of a message are. */
typedef struct {
    bool any_text, calls_tools;
} Parts;

static const char *const TOOL_CALLS[] = {"tool_call", "tool-call", "tool_use", "function_call", NULL};
static const char *const NOT_TEXT[] = {"reasoning", "thinking", "redacted_thinking", "blob", NULL};
static const char *const NESTED[] = {"parts", "output", "value", NULL};

/* Reads a string, or null as an absent one. */
static inline bool read_text_or_null(Bytes *in, Bytes *text, bool *seen)
{
    if (*seen)
        return false;
    *seen = true;
    skip_blanks(in);
    return read_string(in, text) || skip_word(in, "null");
}

/* Reads a part, and writes its text. */
static inline bool read_part(Bytes *in, Out *out, Parts *parts)
{
    Bytes none = {in->at, in->at}, key, type = none, texts[3] = {none, none, none};
    bool seen[4] = {false};
    static const char *const KEYS[] = {"text", "content", "response"};
    if (!accept(in, '{'))
        return false;
    if (!accept(in, '}')) {
        do {
            if (!read_key(in, &key) || is_one_of(key, NESTED))
                return false;
            int which = 0;
            while (which < 3 && !is_key(key, KEYS[which]))
                which++;
            bool done = which < 3             ? read_text_or_null(in, &texts[which], &seen[which])
                        : is_key(key, "type") ? read_text_or_null(in, &type, &seen[3])
                                              : skip_value(in, 0);
            if (!done)
                return false;
        } while (accept(in, ','));
        if (!accept(in, '}'))
            return false;
    }
    if (is_escaped(type))
        return false;
    if (is_one_of(type, TOOL_CALLS)) {
        parts->calls_tools = true;
        return true;
    }
    if (is_one_of(type, NOT_TEXT))
        return true;
    for (int i = 0; i < 3; i++) {
        if (texts[i].at == texts[i].end)
            continue;
        if (maybe_placeholder(texts[i]))
            return false;
        if (parts->any_text)
            put_literal(out, "\\n");
        put_bytes(out, texts[i]);
        parts->any_text = true;
        break;
    }
    return true;
}

/* Reads parts, and writes their texts on lines of their own. */
static inline bool read_parts(Bytes *in, Out *out, Parts *parts)
{
    *parts = (Parts){false, false};
    if (!accept(in, '['))
        return false;
    if (accept(in, ']'))
        return true;
    do {
        if (!read_part(in, out, parts))
            return false;
    } while (accept(in, ','));
    return accept(in, ']');
}

#endif
