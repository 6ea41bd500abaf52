/* Writes JSON documents of a log format as native records, without building what is not wanted.

   A plan has the places in documents that matter, as a tree of nodes, and the fields of records that are
   written from them. A document is *usual* if each place has a value of an expected kind. Everything
   else is validated and skipped. Documents that are not usual are returned as their place in the
   message, and messages that are not surely valid JSON are left out: the decoders in Python read both,
   and a test shows that both ways give the same. Messages are read without holding the GIL.

   Every read is bounded by the end of a message, and every write by the end of the memory for it. The
   depth of recursion is bounded by MAX_DEPTH. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdio.h>
#include <stdlib.h>

#include "../json_text.h"

/* Kinds of values; a node has a bit for each kind that is usual. */
enum { ABSENT, NIL, NO, YES, NUMBER, STRING, OBJECT, ARRAY };

/* What else a usual value must fulfil. */
enum { ANYTHING, ONE_OF, NONE_OF, WITHOUT };

/* What writes a field; see the functions of these names. */
enum { TEXT, AMOUNT, TIME, ELAPSED, REASON, PROMPT, ANSWER, METADATA };

enum { MAX_NODES = 128, MAX_SLOTS = 16, MAX_NAME_BYTES = 200, MAX_ENTRIES = 32 };
enum { MAX_DOCUMENTS = 100000, SPARE_BYTES = 4096, NO_NODE = -1 };

typedef struct {
    Bytes text; /* of a string: what is between its quotes */
    int kind;
} Value;

typedef struct {
    Bytes name;
    int node; /* NO_NODE in an empty slot */
} Member;

/* A place. members: a table by hash, of which at most half is used. element: the place of the only
   element of a list. */
typedef struct {
    Member *members;
    uint32_t mask; /* number of members in the table - 1 */
    int element;
    unsigned usual;
    int rule;
    Bytes *texts;
    Py_ssize_t n_texts;
    bool marks; /* whether the first document must have the place */
} Node;

typedef struct {
    int code, n;
    Bytes name;
    int slots[MAX_SLOTS];
    Bytes names[MAX_SLOTS];
    int n_names;
    int64_t number;
} Field;

typedef struct {
    Node *nodes;
    Py_ssize_t n;
    Field *fields;
    Py_ssize_t n_fields;
    Bytes *reasons, *reason_values;
    Py_ssize_t n_reasons;
    Py_ssize_t most; /* bytes of a message */
    bool several;    /* whether a message may hold several documents */
    PyObject *given; /* keeps the texts alive */
} Plan;

static const char CAPSULE[] = "monitor.ingest.decode.native.plans._plan.Plan";

/* --- numbers ------------------------------------------------------------------------------- */

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 Wide;

static const uint64_t POWERS[] = {
    1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u,
    10000000000u, 100000000000u, 1000000000000u, 10000000000000u, 100000000000000u,
    1000000000000000u, 10000000000000000u, 100000000000000000u, 1000000000000000000u,
};
enum { MAX_DIGITS = 19, MAX_SCALE = 18, DOUBLE_BITS = 53 };

static int bits_of(Wide value)
{
    uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value;
    return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

/* Returns value * 2^exponent, rounded to a double, half to even. rest: whether the exact value is a
   little larger. */
static double rounded(Wide value, bool rest, int exponent)
{
    int drop = bits_of(value) - DOUBLE_BITS;
    if (drop > 0) {
        Wide half = (Wide)1 << (drop - 1), low = value & (((Wide)1 << drop) - 1);
        value >>= drop;
        exponent += drop;
        if (low > half || (low == half && (rest || (value & 1))))
            value++;
    }
    uint64_t power = (uint64_t)(exponent + 1023) << 52;
    double factor;
    memcpy(&factor, &power, sizeof factor);
    return (double)(uint64_t)value * factor;
}

/* Reads the double nearest to a number in valid JSON. Returns false if it is negative or has too many
   digits. */
static bool double_of(Bytes number, double *value)
{
    uint64_t digits = 0;
    int n = 0, scale = 0;
    bool fraction = false;
    Place p = number.at;
    for (; p < number.end && (*p | 0x20) != 'e'; p++) {
        if (*p == '-')
            return false;
        if (*p == '.') {
            fraction = true;
            continue;
        }
        digits = digits * 10 + (uint64_t)(*p - '0');
        n += digits > 0;
        scale += fraction;
        if (n > MAX_DIGITS)
            return false;
    }
    if (p < number.end) {
        int exponent = 0;
        bool negative = *++p == '-';
        for (p += negative || *p == '+'; p < number.end; p++)
            exponent = exponent * 10 + (*p - '0');
        scale += negative ? exponent : -exponent;
    }
    *value = 0.0;
    if (digits == 0)
        return true;
    if (scale > MAX_SCALE || scale < -MAX_SCALE)
        return false;
    if (scale <= 0) {
        *value = rounded((Wide)digits * POWERS[-scale], false, 0);
        return true;
    }
    int shift = 128 - bits_of(digits);
    Wide shifted = (Wide)digits << shift;
    *value = rounded(shifted / POWERS[scale], shifted % POWERS[scale] != 0, -shift);
    return true;
}
#else
/* Without integers of 128 bits, fields that need the value of a number are never usual. */
static bool double_of(Bytes number, double *value)
{
    (void)number;
    (void)value;
    return false;
}
#endif

/* Returns a double * 1000, rounded to a whole number, half to even, as `round` of Python does with three
   digits. Returns false if it is too large. */
static bool thousandths(double value, uint64_t *result)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)(bits >> 52 & 0x7ff);
    uint64_t mantissa = bits & ((UINT64_C(1) << 52) - 1);
    if (exponent > 0)
        mantissa |= UINT64_C(1) << 52;
    else
        exponent = 1;
    int drop = 1075 - exponent; /* the value is mantissa / 2^drop */
    if (drop < 1)
        return false;
    mantissa *= 1000;
    if (drop > 63) {
        *result = 0;
        return true;
    }
    uint64_t half = UINT64_C(1) << (drop - 1), low = mantissa & ((UINT64_C(1) << drop) - 1);
    *result = mantissa >> drop;
    if (low > half || (low == half && (*result & 1)))
        ++*result;
    return true;
}

/* Returns whether a number is at least 0 and below 10^15: see `skip_number`. */
static bool is_amount(Bytes number)
{
    for (Place p = number.at; p < number.end; p++)
        if (*p == '-' || (*p | 0x20) == 'e')
            return (*p | 0x20) == 'e' && p + 1 < number.end && p[1] == '-';
    return true;
}

/* --- reading a document -------------------------------------------------------------------- */

typedef struct {
    const Plan *plan;
    Value values[MAX_NODES];
    bool usual;
} Document;

static uint32_t hash_of(Bytes text)
{
    uint32_t hash = (uint32_t)(text.end - text.at);
    Place stop = text.end - text.at > 8 ? text.end - 8 : text.at;
    for (Place p = text.end; p > stop; p--)
        hash = (hash ^ p[-1]) * 16777619u;
    return hash ^ hash >> 15;
}

static bool is_same(Bytes a, Bytes b)
{
    return a.end - a.at == b.end - b.at && memcmp(a.at, b.at, (size_t)(a.end - a.at)) == 0;
}

/* Returns the place of a member in the table of a node, or the empty one where it belongs. */
static Member *member_of(const Node *node, Bytes name)
{
    uint32_t i = hash_of(name) & node->mask;
    while (node->members[i].node != NO_NODE && !is_same(node->members[i].name, name))
        i = (i + 1) & node->mask;
    return &node->members[i];
}

static bool contains(Bytes text, Bytes part)
{
    Py_ssize_t size = part.end - part.at;
    for (Place p = text.at; text.end - p >= size; p++) {
        p = memchr(p, *part.at, (size_t)(text.end - p - size + 1));
        if (p == NULL)
            return false;
        if (memcmp(p, part.at, (size_t)size) == 0)
            return true;
    }
    return false;
}

static bool fulfils(const Node *node, const Value *value)
{
    if (!(node->usual >> value->kind & 1))
        return false;
    bool scalar = value->kind == STRING || value->kind == NUMBER || value->kind == YES
                  || value->kind == NO;
    if (node->rule == ANYTHING || (!scalar && node->rule != WITHOUT))
        return true;
    if (is_escaped(value->text) && value->kind == STRING)
        return false;
    for (Py_ssize_t i = 0; i < node->n_texts; i++) {
        bool found = node->rule == WITHOUT ? contains(value->text, node->texts[i])
                                           : is_same(value->text, node->texts[i]);
        if (found)
            return node->rule == ONE_OF;
    }
    return node->rule != ONE_OF;
}

static int kind_at(Bytes in)
{
    switch (*in.at) {
    case '"': return STRING;
    case '{': return OBJECT;
    case '[': return ARRAY;
    case 't': return YES;
    case 'f': return NO;
    case 'n': return NIL;
    default: return NUMBER;
    }
}

/* Reads a value of which nothing within is wanted. */
static bool read_plain(Bytes *in, int depth, Value *value)
{
    skip_blanks(in);
    if (in->at == in->end)
        return false;
    value->kind = kind_at(*in);
    if (value->kind == STRING)
        return read_string(in, &value->text);
    value->text.at = in->at;
    bool done = skip_value(in, depth);
    value->text.end = in->at;
    return done;
}

static bool read_value(Document *doc, int index, Bytes *in, int depth);

static bool read_members(Document *doc, const Node *node, Bytes *in, int depth)
{
    Bytes key;
    in->at++;
    if (accept(in, '}'))
        return true;
    do {
        if (!read_string(in, &key) || !accept(in, ':'))
            return false;
        int child = member_of(node, key)->node;
        bool again = child != NO_NODE && doc->values[child].kind != ABSENT;
        if (again || is_escaped(key))
            doc->usual = false;
        bool wanted = child != NO_NODE && !again;
        if (wanted ? !read_value(doc, child, in, depth + 1) : !skip_value(in, depth + 1))
            return false;
    } while (accept(in, ','));
    return accept(in, '}');
}

/* Reads a list, which is usual with one element or none. */
static bool read_elements(Document *doc, const Node *node, Bytes *in, int depth)
{
    in->at++;
    if (accept(in, ']'))
        return true;
    if (!read_value(doc, node->element, in, depth + 1))
        return false;
    while (accept(in, ',')) {
        doc->usual = false;
        if (!skip_value(in, depth + 1))
            return false;
    }
    return accept(in, ']');
}

static bool read_value(Document *doc, int index, Bytes *in, int depth)
{
    const Node *node = &doc->plan->nodes[index];
    Value *value = &doc->values[index];
    skip_blanks(in);
    if (in->at == in->end || depth >= MAX_DEPTH)
        return false;
    int kind = kind_at(*in);
    bool deeper = (kind == OBJECT && node->members != NULL)
                  || (kind == ARRAY && node->element != NO_NODE);
    if (deeper) {
        value->text.at = in->at;
        if (!(kind == OBJECT ? read_members : read_elements)(doc, node, in, depth))
            return false;
        value->text.end = in->at;
        value->kind = kind;
    } else if (!read_plain(in, depth, value))
        return false;
    if (!fulfils(node, value))
        doc->usual = false;
    return true;
}

/* Reads an object. Returns false if it is not surely valid. */
static bool read_document(Document *doc, Bytes *in)
{
    const Plan *plan = doc->plan;
    for (Py_ssize_t i = 0; i < plan->n; i++)
        doc->values[i].kind = ABSENT;
    doc->usual = true;
    if (!read_value(doc, 0, in, 0))
        return false;
    for (Py_ssize_t i = 0; doc->usual && i < plan->n; i++)
        doc->usual = doc->values[i].kind != ABSENT || (plan->nodes[i].usual & 1u << ABSENT);
    return true;
}

/* --- writing a record ---------------------------------------------------------------------- */

static bool has_text(const Value *value)
{
    return value->kind == STRING && value->text.at < value->text.end;
}

/* Writes the name of a field, in front of its value. */
static void put_name(Out *out, Bytes name)
{
    if (out->ok && out->at[-1] != '{')
        put_literal(out, ",");
    put_literal(out, "\"");
    put_bytes(out, name);
    put_literal(out, "\":");
}

static void put_text(Out *out, Bytes text)
{
    put_literal(out, "\"");
    put_bytes(out, text);
    put_literal(out, "\"");
}

/* Writes the first text that is not empty. number: bytes that it may have; 0: the field is optional and
   of any length. */
static bool write_text(const Document *doc, const Field *field, Out *out)
{
    for (int i = 0; i < field->n; i++) {
        const Value *value = &doc->values[field->slots[i]];
        if (!has_text(value))
            continue;
        put_name(out, field->name);
        put_text(out, value->text);
        return field->number == 0 || value->text.end - value->text.at <= field->number;
    }
    return field->number == 0;
}

/* Reads a whole number without sign and exponent. */
static bool whole_of(Bytes number, uint64_t *value)
{
    *value = 0;
    for (Place p = number.at; p < number.end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        *value = *value * 10 + (uint64_t)(*p - '0');
    }
    return true;
}

static int zeros_of(int64_t power)
{
    int zeros = 0;
    for (; power > 1; power /= 10)
        zeros++;
    return zeros;
}

/* Writes seconds as milliseconds, with all digits of the quotient that Python computes. */
static bool put_seconds(Out *out, Bytes number)
{
    double value;
    char text[40];
    if (!double_of(number, &value))
        return false;
    int size = snprintf(text, sizeof text, "%.17g", value / 0.001);
    put(out, text, (size_t)size);
    return strspn(text, "0123456789.e+-") == (size_t)size; /* the point may depend on the locale */
}

/* Writes the first number, which is tokens, a cost or a duration. number: how many units of it are a
   millisecond; 0: it is written as it is; -1: it is seconds. */
static bool write_amount(const Document *doc, const Field *field, Out *out)
{
    for (int i = 0; i < field->n; i++) {
        const Value *value = &doc->values[field->slots[i]];
        uint64_t units;
        if (value->kind != NUMBER)
            continue;
        if (!is_amount(value->text))
            return false;
        put_name(out, field->name);
        if (field->number < 0)
            return put_seconds(out, value->text);
        if (field->number == 0) {
            put_bytes(out, value->text);
            return true;
        }
        if (!whole_of(value->text, &units))
            return false; /* the quotient of a fraction is not that of its digits */
        put_fraction(out, units, zeros_of(field->number));
        return true;
    }
    return true;
}

/* Reads n digits at p. */
static bool digits_at(Place p, int n, int *value)
{
    *value = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *value = *value * 10 + (p[i] - '0');
    }
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Returns the days from 1970 to a date; -1 if there is no such date or it is earlier. */
static int64_t days_of(int year, int month, int day)
{
    static const int BEFORE[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (year < 1970 || month < 1 || month > 12)
        return -1;
    int leap_day = month == 2 && is_leap(year);
    if (day < 1 || day > BEFORE[month] - BEFORE[month - 1] + leap_day)
        return -1;
    int past = year - 1;
    int64_t leaps = past / 4 - past / 100 + past / 400 - 477; /* since 1970 */
    return (year - 1970) * INT64_C(365) + leaps + BEFORE[month - 1] + (month > 2 && is_leap(year))
           + day - 1;
}

/* Reads the offset of a time zone, Z or +01:00, in seconds. */
static bool zone_of(Bytes text, int *offset)
{
    int hours, minutes;
    *offset = 0;
    if (text.end - text.at == 1)
        return *text.at == 'Z';
    if (text.end - text.at != 6 || (text.at[0] != '+' && text.at[0] != '-') || text.at[3] != ':'
        || !digits_at(text.at + 1, 2, &hours) || !digits_at(text.at + 4, 2, &minutes) || hours > 23
        || minutes > 59)
        return false;
    *offset = (text.at[0] == '-' ? -60 : 60) * (60 * hours + minutes);
    return true;
}

/* Reads a time in RFC 3339 as microseconds from 1970. */
static bool rfc3339_of(Bytes text, uint64_t *value)
{
    int year, month, day, hour, minute, second, offset, micros = 0, digits = 0;
    Place p = text.at;
    if (text.end - p < 20 || p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':'
        || p[16] != ':' || !digits_at(p, 4, &year) || !digits_at(p + 5, 2, &month)
        || !digits_at(p + 8, 2, &day) || !digits_at(p + 11, 2, &hour)
        || !digits_at(p + 14, 2, &minute) || !digits_at(p + 17, 2, &second) || hour > 23
        || minute > 59 || second > 59)
        return false;
    p += 19;
    if (*p == '.') {
        for (p++; p < text.end && *p >= '0' && *p <= '9' && digits < 7; p++, digits++)
            micros = micros * 10 + (*p - '0');
        if (digits == 0 || digits > 6)
            return false;
        for (; digits < 6; digits++)
            micros *= 10;
    }
    int64_t days = days_of(year, month, day);
    if (days < 0 || !zone_of((Bytes){p, text.end}, &offset))
        return false;
    int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (seconds < 0)
        return false;
    *value = (uint64_t)seconds * 1000000u + (uint64_t)micros;
    return true;
}

/* Writes the time of the record, also of one in RFC 3339. number: how many units of a number are a
   second. */
static bool write_time(const Document *doc, const Field *field, Out *out)
{
    const Value *value = &doc->values[field->slots[0]];
    uint64_t units;
    if (value->kind == STRING) {
        if (!rfc3339_of(value->text, &units))
            return false;
        put_name(out, field->name);
        put_fraction(out, units, 6);
        return true;
    }
    if (value->kind != NUMBER || !is_amount(value->text))
        return false;
    put_name(out, field->name);
    if (field->number == 1) {
        put_bytes(out, value->text);
        return true;
    }
    if (!whole_of(value->text, &units))
        return false;
    put_fraction(out, units, zeros_of(field->number));
    return true;
}

/* Writes the milliseconds between two times in seconds, if the third value is not there or true. */
static bool write_elapsed(const Document *doc, const Field *field, Out *out)
{
    const Value *start = &doc->values[field->slots[0]], *end = &doc->values[field->slots[1]];
    double from, to;
    uint64_t result;
    if (start->kind != NUMBER || end->kind != NUMBER
        || (field->n == 3 && doc->values[field->slots[2]].kind != YES))
        return true;
    if (!double_of(start->text, &from) || !double_of(end->text, &to) || to < from
        || !thousandths(1000 * (to - from), &result))
        return false;
    put_name(out, field->name);
    put_fraction(out, result, 3);
    return true;
}

static bool write_reason(const Document *doc, const Field *field, Out *out)
{
    const Plan *plan = doc->plan;
    const Value *value = &doc->values[field->slots[0]];
    if (!has_text(value))
        return true;
    for (Py_ssize_t i = 0; i < plan->n_reasons; i++) {
        if (!is_same(value->text, plan->reasons[i]))
            continue;
        put_name(out, field->name);
        put_text(out, plan->reason_values[i]);
        return true;
    }
    return false;
}

static bool write_content(const Value *content, Out *out)
{
    Parts parts;
    Bytes in = content->text;
    switch (content->kind) {
    case ABSENT: case NIL: return true;
    case ARRAY: return read_parts(&in, out, &parts);
    case STRING: put_bytes(out, in); return !maybe_placeholder(in);
    default: return false;
    }
}

/* Writes a chat message. */
static bool write_message(Bytes *in, Out *out)
{
    Bytes key;
    Value value, role = {{NULL, NULL}, ABSENT}, content = role;
    if (!accept(in, '{') || accept(in, '}'))
        return false;
    do {
        if (!read_key(in, &key) || !read_plain(in, 0, &value))
            return false;
        Value *place = is_key(key, "role") ? &role : is_key(key, "content") ? &content : NULL;
        if (place != NULL ? place->kind != ABSENT : is_key(key, "parts") || is_key(key, "output"))
            return false;
        if (place != NULL)
            *place = value;
    } while (accept(in, ','));
    if (!has_text(&role) || is_escaped(role.text) || role.text.end - role.text.at > MAX_ROLE_BYTES)
        return false;
    put_literal(out, "{\"role\":");
    put_text(out, role.text);
    put_literal(out, ",\"content\":\"");
    bool done = write_content(&content, out);
    put_literal(out, "\"}");
    return done && accept(in, '}');
}

/* Writes a prompt: a text that is surely no JSON, or a list of chat messages. */
static bool write_prompt(const Document *doc, const Field *field, Out *out)
{
    const Value *value = &doc->values[field->slots[0]];
    Bytes in = value->text;
    int n = 0;
    if (value->kind == ABSENT || value->kind == NIL)
        return true;
    if (value->kind == STRING) {
        put_name(out, field->name);
        put_text(out, in);
        return !maybe_placeholder(in) && (in.at == in.end || (*in.at != '[' && *in.at != '\\'));
    }
    if (!accept(&in, '['))
        return false;
    if (accept(&in, ']'))
        return true;
    put_name(out, field->name);
    do {
        put_literal(out, n++ ? "," : "[");
        if (n > MAX_MESSAGES || !out->ok || !write_message(&in, out))
            return false;
    } while (accept(&in, ','));
    put_literal(out, "]");
    return accept(&in, ']');
}

/* Writes the text of an answer, if there is one. With a second value, an answer without a text must
   have calls of tools there, and the other values must be numbers: they are not looked for elsewhere
   then. */
static bool write_answer(const Document *doc, const Field *field, Out *out)
{
    const Value *value = &doc->values[field->slots[0]];
    if (has_text(value) || (field->n == 1 && value->kind == STRING)) {
        put_name(out, field->name);
        put_text(out, value->text);
        return !maybe_placeholder(value->text);
    }
    if (field->n == 1)
        return value->kind == ABSENT || value->kind == NIL;
    const Value *calls = &doc->values[field->slots[1]];
    for (int i = 2; i < field->n; i++)
        if (doc->values[field->slots[i]].kind != NUMBER)
            return false;
    Bytes list = calls->text;
    return calls->kind == ARRAY && accept(&list, '[') && !accept(&list, ']');
}

/* Writes a number of metadata as a fraction: numbers without one are of another type in Python. */
static bool put_number(Out *out, Bytes number)
{
    bool whole = true;
    for (Place p = number.at; p < number.end; p++) {
        if ((*p | 0x20) == 'e')
            return false;
        whole = whole && *p != '.';
    }
    put_bytes(out, number);
    if (whole)
        put_literal(out, ".0");
    return !(whole && number.end - number.at == 2 && number.at[0] == '-' && number.at[1] == '0');
}

/* The names of entries of metadata. */
typedef struct {
    Bytes list[MAX_ENTRIES];
    int n;
} Names;

/* Adds a name. Returns false if there are too many, or it is there already. */
static bool add_name(Names *names, Bytes name)
{
    if (names->n == MAX_ENTRIES)
        return false;
    for (int i = 0; i < names->n; i++)
        if (is_same(name, names->list[i]))
            return false;
    names->list[names->n++] = name;
    return true;
}

/* Writes the texts, numbers and booleans of an object. No name may be there already: of repeated keys
   the last one counts. */
static bool write_entries(const Value *object, Out *out, Names *names, int *n)
{
    Bytes in = object->text, key;
    if (object->kind != OBJECT)
        return true;
    if (!accept(&in, '{') || accept(&in, '}'))
        return true;
    do {
        Value value;
        if (!read_key(&in, &key) || !read_plain(&in, 0, &value) || key.end - key.at > MAX_NAME_BYTES
            || !add_name(names, key) || !out->ok)
            return false;
        if (value.kind == NIL || value.kind == OBJECT || value.kind == ARRAY)
            continue;
        ++*n;
        put_name(out, key);
        if (value.kind == NUMBER) {
            if (!put_number(out, value.text))
                return false;
        } else if (value.kind == STRING)
            put_text(out, value.text);
        else
            put_text(out, literal(value.kind == YES ? "true" : "false"));
    } while (accept(&in, ','));
    return true;
}

/* Writes entries of metadata: those of objects, and values with the names of the field; true as a text.
   The objects are in front of the other values. */
static bool write_metadata(const Document *doc, const Field *field, Out *out)
{
    char *start = out->at;
    Names names;
    int n = 0, objects = field->n - field->n_names;
    names.n = 0;
    for (int i = 0; i < field->n_names; i++)
        if (!add_name(&names, field->names[i]))
            return false;
    put_name(out, field->name);
    put_literal(out, "{");
    for (int i = 0; i < objects; i++)
        if (!write_entries(&doc->values[field->slots[i]], out, &names, &n))
            return false;
    for (int i = 0; i < field->n_names; i++) {
        const Value *value = &doc->values[field->slots[objects + i]];
        if (!out->ok || (value->kind != STRING && value->kind != YES))
            continue;
        put_name(out, field->names[i]);
        put_text(out, value->kind == STRING ? value->text : literal("true"));
        n++;
    }
    if (n > 0)
        put_literal(out, "}");
    else if (out->ok)
        out->at = start;
    return true;
}

typedef bool (*WriteField)(const Document *doc, const Field *field, Out *out);

static const WriteField WRITERS[] = {
    [TEXT] = write_text,       [AMOUNT] = write_amount,     [TIME] = write_time,
    [ELAPSED] = write_elapsed, [REASON] = write_reason,     [PROMPT] = write_prompt,
    [ANSWER] = write_answer,   [METADATA] = write_metadata,
};
enum { CODES = sizeof WRITERS / sizeof *WRITERS };

/* Writes the record of a usual document. Returns false if it is not usual after all. */
static bool write_record(const Document *doc, Out *out)
{
    const Plan *plan = doc->plan;
    put_literal(out, "{");
    for (const Field *field = plan->fields; field < plan->fields + plan->n_fields; field++)
        if (!out->ok || !WRITERS[field->code](doc, field, out))
            return false;
    put_literal(out, "}");
    return out->ok;
}

/* --- messages ------------------------------------------------------------------------------ */

/* A document of a message: its record in the memory for them, or its place in the message. */
typedef struct {
    bool usual;
    size_t start, stop;
} Entry;

/* Everything that is read of a batch. `failed`: memory is exhausted. */
typedef struct {
    char *text;
    size_t size, room;
    Entry *entries;
    size_t n, most;
    bool failed;
} Batch;

/* Returns memory for more items than it has; the old memory without them if there is none. */
static void *enlarged(void *memory, size_t *room, size_t needed, size_t size_of_item, bool *failed)
{
    if (needed <= *room)
        return memory;
    size_t more = 2 * *room > needed ? 2 * *room : needed;
    void *found = more > SIZE_MAX / 2 / size_of_item ? NULL : realloc(memory, more * size_of_item);
    if (found == NULL) {
        *failed = true;
        return memory;
    }
    *room = more;
    return found;
}

static bool add_entry(Batch *batch, Entry entry)
{
    size_t needed = batch->n + 1;
    batch->entries = enlarged(batch->entries, &batch->most, needed, sizeof entry, &batch->failed);
    if (batch->failed)
        return false;
    batch->entries[batch->n++] = entry;
    return true;
}

/* Reads a document of a message and adds what is found. */
static bool add_document(Batch *batch, Document *doc, Place message, Bytes *in)
{
    skip_blanks(in);
    Place start = in->at;
    if (!read_document(doc, in))
        return false;
    if (doc->usual) {
        size_t most = (size_t)(in->at - start) + SPARE_BYTES;
        batch->text = enlarged(batch->text, &batch->room, batch->size + most, 1, &batch->failed);
        if (batch->failed)
            return false;
        char *at = batch->text + batch->size;
        Out out = {at, at + most, true};
        if (write_record(doc, &out)) {
            size_t stop = batch->size + (size_t)(out.at - at);
            Entry entry = {true, batch->size, stop};
            batch->size = stop;
            return add_entry(batch, entry);
        }
    }
    return add_entry(batch, (Entry){false, (size_t)(start - message), (size_t)(in->at - message)});
}

/* Returns whether an object has the marks of the format. */
static bool is_marked(const Document *doc)
{
    const Plan *plan = doc->plan;
    if (doc->values[0].kind != OBJECT)
        return false;
    for (Py_ssize_t i = 0; i < plan->n; i++)
        if (plan->nodes[i].marks && doc->values[i].kind == ABSENT)
            return false;
    return true;
}

/* Reads a list of documents. The first object must have the marks; null is left out. */
static bool read_list(Batch *batch, Document *doc, Place message, Bytes in)
{
    bool marked = false;
    int n = 0;
    in.at++;
    do {
        skip_blanks(&in);
        if (++n > MAX_DOCUMENTS)
            return false;
        if (skip_word(&in, "null"))
            continue;
        if (!add_document(batch, doc, message, &in))
            return false;
        marked = marked || is_marked(doc);
        if (!marked)
            return false;
    } while (accept(&in, ','));
    return marked && accept(&in, ']') && is_end_of_json(&in);
}

static bool is_one_line(Place start, Place stop)
{
    size_t size = (size_t)(stop - start);
    return memchr(start, '\n', size) == NULL && memchr(start, '\r', size) == NULL;
}

/* Reads one document, or several on lines of their own. */
static bool read_lines(Batch *batch, Document *doc, Place message, Bytes in)
{
    size_t first = batch->n;
    Place last = in.at; /* end of the last document */
    do {
        skip_blanks(&in);
        Place start = in.at;
        if (batch->n - first >= MAX_DOCUMENTS || !add_document(batch, doc, message, &in)
            || (batch->n == first + 1 && !is_marked(doc)))
            return false;
        if (!doc->plan->several)
            return is_end_of_json(&in);
        bool several = batch->n > first + 1;
        if (several && (is_one_line(last, start) || !is_one_line(start, in.at)))
            return false;
        if (!several && !is_one_line(start, in.at))
            return is_end_of_json(&in);
        last = in.at;
    } while (!is_end_of_json(&in));
    return true;
}

/* Reads a message. Returns false, and adds nothing, if the decoder in Python has to read it. */
static bool read_message(Batch *batch, Document *doc, Bytes in)
{
    size_t n = batch->n, size = batch->size;
    if (in.end - in.at <= doc->plan->most && in.at < in.end && is_utf8(in)
        && (*in.at == '[' ? doc->plan->several && read_list(batch, doc, in.at, in)
                          : *in.at == '{' && read_lines(batch, doc, in.at, in)))
        return true;
    batch->n = n;
    batch->size = size;
    return false;
}

/* Messages, and where their entries end. `read`: whether the decoder in Python need not read it. */
typedef struct {
    Bytes bytes;
    size_t stop;
    bool read;
} Message;

static void read_all(const Plan *plan, Message *messages, Py_ssize_t n, Batch *batch)
{
    Document doc = {.plan = plan};
    for (Message *each = messages; each < messages + n && !batch->failed; each++) {
        each->read = read_message(batch, &doc, each->bytes);
        each->stop = batch->n;
    }
}

static PyObject *found_of(const Batch *batch, const Entry *entry)
{
    Py_ssize_t start = (Py_ssize_t)entry->start, stop = (Py_ssize_t)entry->stop;
    if (entry->usual)
        return PyBytes_FromStringAndSize(batch->text + start, stop - start);
    return Py_BuildValue("(nn)", start, stop);
}

static PyObject *list_of(const Batch *batch, size_t start, size_t stop)
{
    if (stop == start + 1 && batch->entries[start].usual)
        return found_of(batch, &batch->entries[start]);
    PyObject *list = PyList_New((Py_ssize_t)(stop - start));
    for (size_t i = start; list != NULL && i < stop; i++) {
        PyObject *found = found_of(batch, &batch->entries[i]);
        if (found == NULL || PyList_SetItem(list, (Py_ssize_t)(i - start), found) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *result_of(const Message *messages, Py_ssize_t n, const Batch *batch)
{
    if (batch->failed)
        return PyErr_NoMemory();
    PyObject *result = PyList_New(n);
    size_t start = 0;
    for (Py_ssize_t i = 0; result != NULL && i < n; i++) {
        size_t stop = messages[i].stop;
        PyObject *found = messages[i].read ? list_of(batch, start, stop) : Py_NewRef(Py_None);
        if (found == NULL || PyList_SetItem(result, i, found) < 0)
            Py_CLEAR(result);
        start = stop;
    }
    return result;
}

static Message *messages_of(PyObject *tuple, Py_ssize_t n)
{
    Message *messages = PyMem_Calloc(n ? (size_t)n : 1, sizeof *messages);
    if (messages == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        char *bytes;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &bytes, &size) < 0) {
            PyMem_Free(messages);
            return NULL;
        }
        messages[i].bytes = (Bytes){(Place)bytes, (Place)bytes + size};
    }
    return messages;
}

PyDoc_STRVAR(read_doc,
"read(plan, messages, /)\n--\n\n"
"Read the documents of messages: a list with an item for each message.\n\n"
"plan: of the function `plan`. messages: a sequence of bytes.\n"
"An item is the native record of the only document, or a list with an entry for each document: its\n"
"native record, or, if it is not usual, where it begins and ends in the message. An item is None if the\n"
"message is not surely valid JSON, or its first object does not have the marks of the format.");

static PyObject *read_batch(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *capsule, *given;
    if (!PyArg_ParseTuple(args, "OO:read", &capsule, &given))
        return NULL;
    const Plan *plan = PyCapsule_GetPointer(capsule, CAPSULE);
    PyObject *tuple = plan == NULL ? NULL : PySequence_Tuple(given); /* keeps the bytes alive */
    if (tuple == NULL)
        return NULL;
    Py_ssize_t n = PyTuple_Size(tuple);
    Message *messages = messages_of(tuple, n);
    PyObject *result = NULL;
    if (messages != NULL) {
        Batch batch = {0};
        Py_BEGIN_ALLOW_THREADS
        read_all(plan, messages, n, &batch);
        Py_END_ALLOW_THREADS
        result = result_of(messages, n, &batch);
        free(batch.text);
        free(batch.entries);
    }
    PyMem_Free(messages);
    Py_DECREF(tuple);
    return result;
}

/* --- plans --------------------------------------------------------------------------------- */

static void free_plan(PyObject *capsule)
{
    Plan *plan = PyCapsule_GetPointer(capsule, CAPSULE);
    if (plan == NULL)
        return;
    for (Py_ssize_t i = 0; plan->nodes != NULL && i < plan->n; i++) {
        PyMem_Free(plan->nodes[i].members);
        PyMem_Free(plan->nodes[i].texts);
    }
    PyMem_Free(plan->nodes);
    PyMem_Free(plan->fields);
    PyMem_Free(plan->reasons);
    PyMem_Free(plan->reason_values);
    Py_XDECREF(plan->given);
    PyMem_Free(plan);
}

static bool is_text(PyObject *object, Bytes *text)
{
    Py_ssize_t size;
    const char *found = PyUnicode_AsUTF8AndSize(object, &size);
    if (found == NULL)
        return false;
    *text = (Bytes){(Place)found, (Place)found + size};
    return true;
}

/* Returns memory for n items, at least one; NULL with an exception. */
static void *items(Py_ssize_t n, size_t size)
{
    void *found = PyMem_Calloc(n > 0 ? (size_t)n : 1, size);
    if (found == NULL)
        PyErr_NoMemory();
    return found;
}

static Bytes *texts_of(PyObject *tuple)
{
    Py_ssize_t n = PyTuple_Size(tuple);
    Bytes *texts = items(n, sizeof *texts);
    for (Py_ssize_t i = 0; texts != NULL && i < n; i++) {
        if (is_text(PyTuple_GetItem(tuple, i), &texts[i]))
            continue;
        PyMem_Free(texts);
        texts = NULL;
    }
    return texts;
}

static bool fail(const char *text)
{
    PyErr_SetString(PyExc_ValueError, text);
    return false;
}

static bool set_members(Plan *plan, Node *node, PyObject *names, PyObject *children)
{
    Py_ssize_t n = PyTuple_Size(names);
    if (n == 0)
        return true;
    if (PyTuple_Size(children) != n || n > MAX_NODES)
        return fail("a member has no node");
    uint32_t size = 4;
    while (size < 2 * (uint32_t)n)
        size *= 2;
    node->members = items(size, sizeof *node->members);
    if (node->members == NULL)
        return false;
    node->mask = size - 1;
    for (uint32_t i = 0; i < size; i++)
        node->members[i].node = NO_NODE;
    for (Py_ssize_t i = 0; i < n; i++) {
        Bytes name;
        long child = PyLong_AsLong(PyTuple_GetItem(children, i));
        if (PyErr_Occurred() || !is_text(PyTuple_GetItem(names, i), &name))
            return false;
        if (child <= 0 || child >= plan->n)
            return fail("a member has no node");
        *member_of(node, name) = (Member){name, (int)child};
    }
    return true;
}

/* Sets a node from (names of members, their nodes, element, usual kinds, rule, texts, marks). */
static bool set_node(Plan *plan, Node *node, PyObject *given)
{
    PyObject *names, *children, *texts;
    int marks;
    if (!PyArg_ParseTuple(given, "O!O!iIiO!p", &PyTuple_Type, &names, &PyTuple_Type, &children,
                          &node->element, &node->usual, &node->rule, &PyTuple_Type, &texts, &marks))
        return false;
    node->marks = marks;
    node->n_texts = PyTuple_Size(texts);
    if (node->element != NO_NODE && (node->element <= 0 || node->element >= plan->n))
        return fail("a list has no node for its element");
    node->texts = texts_of(texts);
    for (Py_ssize_t i = 0; node->texts != NULL && i < node->n_texts; i++)
        if (node->texts[i].at == node->texts[i].end && node->rule == WITHOUT)
            return fail("an empty text is in every text");
    return node->texts != NULL && set_members(plan, node, names, children);
}

/* Returns whether the number of a field means something to what writes it: see there. */
static bool is_number_of(int code, int64_t number)
{
    if (code == AMOUNT && (number == 0 || number == -1))
        return true;
    if (code != AMOUNT && code != TIME)
        return number >= 0;
    for (int64_t unit = 1; unit <= 1000000000; unit *= 10)
        if (number == unit)
            return true;
    return false;
}

/* Sets a field from (code, name, nodes, names, number). */
static bool set_field(const Plan *plan, Field *field, PyObject *given)
{
    static const int LEAST[CODES] = {[TEXT] = 1, [AMOUNT] = 1, [TIME] = 1, [ELAPSED] = 2,
                                     [REASON] = 1, [PROMPT] = 1, [ANSWER] = 1, [METADATA] = 0};
    PyObject *name, *slots, *names;
    long long number;
    if (!PyArg_ParseTuple(given, "iO!O!O!L", &field->code, &PyUnicode_Type, &name, &PyTuple_Type,
                          &slots, &PyTuple_Type, &names, &number))
        return false;
    field->number = number;
    Py_ssize_t n = PyTuple_Size(slots), n_names = PyTuple_Size(names);
    if (field->code < 0 || field->code >= (int)CODES || n > MAX_SLOTS || n_names > n
        || n < LEAST[field->code] || !is_number_of(field->code, number))
        return fail("a field is not complete");
    field->n = (int)n;
    field->n_names = (int)n_names;
    for (Py_ssize_t i = 0; i < n; i++) {
        long slot = PyLong_AsLong(PyTuple_GetItem(slots, i));
        if (PyErr_Occurred())
            return false;
        if (slot < 0 || slot >= plan->n)
            return fail("a field has no node");
        field->slots[i] = (int)slot;
    }
    for (Py_ssize_t i = 0; i < n_names; i++)
        if (!is_text(PyTuple_GetItem(names, i), &field->names[i]))
            return false;
    return is_text(name, &field->name);
}

static bool set_plan(Plan *plan, PyObject *nodes, PyObject *fields, PyObject *reasons,
                     PyObject *values)
{
    plan->n = PyTuple_Size(nodes);
    plan->n_fields = PyTuple_Size(fields);
    plan->n_reasons = PyTuple_Size(reasons);
    if (plan->n < 1 || plan->n > MAX_NODES || PyTuple_Size(values) != plan->n_reasons)
        return fail("too many nodes, or a finish reason without a value");
    if ((plan->nodes = items(plan->n, sizeof *plan->nodes)) == NULL
        || (plan->fields = items(plan->n_fields, sizeof *plan->fields)) == NULL
        || (plan->reasons = texts_of(reasons)) == NULL
        || (plan->reason_values = texts_of(values)) == NULL)
        return false;
    for (Py_ssize_t i = 0; i < plan->n; i++)
        if (!set_node(plan, &plan->nodes[i], PyTuple_GetItem(nodes, i)))
            return false;
    for (Py_ssize_t i = 0; i < plan->n_fields; i++)
        if (!set_field(plan, &plan->fields[i], PyTuple_GetItem(fields, i)))
            return false;
    return true;
}

PyDoc_STRVAR(plan_doc,
"plan(nodes, fields, reasons, most, several, /)\n--\n\n"
"Return a plan for `read`.\n\n"
"nodes: tuples of the names of members, their nodes, the node of the element of a list or -1, the bits of\n"
"usual kinds, the number of a rule, the texts of the rule, and whether the node marks the format. The\n"
"first node is the document.\n"
"fields: tuples of the number of what writes the field, its name, nodes, names and a number.\n"
"reasons: a tuple of finish reasons and a tuple of those of records. most: bytes of a message. several:\n"
"whether a message may hold several documents, in a list or in lines.");

static PyObject *plan_of(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *nodes, *fields, *reasons, *values;
    Py_ssize_t most;
    int several;
    if (!PyArg_ParseTuple(args, "O!O!(O!O!)np:plan", &PyTuple_Type, &nodes, &PyTuple_Type, &fields,
                          &PyTuple_Type, &reasons, &PyTuple_Type, &values, &most, &several))
        return NULL;
    Plan *plan = items(1, sizeof *plan);
    if (plan == NULL)
        return NULL;
    PyObject *capsule = PyCapsule_New(plan, CAPSULE, free_plan);
    if (capsule == NULL) {
        PyMem_Free(plan);
        return NULL;
    }
    plan->most = most;
    plan->several = several;
    plan->given = Py_NewRef(args);
    if (set_plan(plan, nodes, fields, reasons, values))
        return capsule;
    Py_DECREF(capsule);
    return NULL;
}

static PyMethodDef METHODS[] = {
    {"plan", plan_of, METH_VARARGS, plan_doc},
    {"read", read_batch, METH_VARARGS, read_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot MODULE_SLOTS[] = {{0, NULL}};

static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "monitor.ingest.decode.native.plans._plan",
    .m_doc = "Writes JSON documents of a log format as native records.",
    .m_methods = METHODS,
    .m_slots = MODULE_SLOTS,
};

PyMODINIT_FUNC PyInit__plan(void)
{
    return PyModuleDef_Init(&MODULE);
}
