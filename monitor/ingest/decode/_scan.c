/* Takes the long texts out of JSON records before they are parsed.

   Most of a record is its prompt and its answer, and all that the features need of these is how
   long they are and how the answer begins. So one pass, without Python's lock, counts their
   characters, checks them as strictly as a parser would, and leaves out what nobody needs; the
   short JSON that remains goes to the parser as ever.

   Nothing is accepted here. A payload that holds anything out of the ordinary is left to the
   parser whole; and what is left of the others is parsed, with everything around the texts as it
   came. If that is JSON, then the strings and brackets seen here are the parser's, because in
   JSON both are told from their bytes alone; and a valid string in place of another changes
   nothing else. So whatever is wrong outside of the texts is still found by the parser.

   Every read is bounded by the payload's end; there is no recursion; memory is taken for the list
   of payloads and for the result, which is no longer than they are. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef const uint8_t *Place;

/* A text of a record: how long it is, and which part of it is left out. */
typedef struct {
    int64_t chars; /* NOT_TAKEN: absent, or no string */
    Place from, to;
} Text;

enum { PROMPT, RESPONSE, TEXTS };

static const struct {
    const char *name;
    size_t length;
} KEYS[TEXTS] = {{"prompt", 6}, {"response", 8}};

static const int64_t NOT_TAKEN = -1;

typedef struct {
    Place start, end;
    Text texts[TEXTS];
    bool plain;
} Payload;

/* What is kept of responses: so many characters of those that begin with one of the openings, which
   are pairs of characters. */
typedef struct {
    Py_ssize_t head, length;
    Place openings;
} Wanted;

/* What a row of the result's table holds. */
enum { START, STOP, PROMPT_CHARS, RESPONSE_CHARS, COLUMNS };

/* --- strings ------------------------------------------------------------------------------- */

/* Whether a byte of a string says no more than one character of ASCII. */
static inline bool is_simple(uint8_t c)
{
    return (uint8_t)(c - 0x20) < 0x60 && c != '"' && c != '\\';
}

/* Where simple bytes end. */
static inline Place simple_end(Place p, Place end)
{
#ifdef __SSE2__
    const __m128i low = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'),
                  backslash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i other = _mm_cmplt_epi8(c, low); /* signed, so what is not ASCII is low as well */
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

/* The four hexadecimal digits at p; -1 where they are none. */
static int32_t hex4(Place p, Place end)
{
    if (end - p < 4)
        return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i], letter = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (letter >= 'a' && letter <= 'f')
            value = value << 4 | (letter - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* Reads the escape at p: its bytes, 0 where it is none, or half a character. */
static int escape(Place p, Place end, uint32_t *character)
{
    *character = ' '; /* that the short ones may stand for blanks is near enough */
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
    int32_t unit = hex4(p + 2, end);
    if (unit < 0)
        return 0;
    *character = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    if (unit > 0xdbff || end - p < 8 || p[6] != '\\' || p[7] != 'u')
        return 0;
    int32_t low = hex4(p + 8, end);
    *character = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

/* Reads a character of several bytes (Unicode, table 3-7): its bytes, 0 where it is malformed. */
static int utf8(Place p, Place end, uint32_t *character)
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

/* Whether a character is certainly seen. All that Python calls white space is not; some more. */
static inline bool is_seen(uint32_t c)
{
    if (c < 0x80)
        return c > 0x20;
    return c > 0xa0 && c != 0x1680 && !(c >= 0x2000 && c <= 0x205f) && c != 0x3000;
}

/* Reads a text up to its closing quote, whose place is returned; NULL where it is not plain.

   Left out is what follows the first `head` characters, and more of them as long as all are
   blank: so it can be told from the rest whether the whole is. With a head of 0, all is. */
static Place read_text(Place p, Place end, Py_ssize_t head, Text *text)
{
    int64_t chars = 0;
    bool seen = head == 0;
    Place cut = seen ? p : NULL;
    while (p < end && *p != '"') {
        if (is_simple(*p)) {
            Place run = p;
            p = simple_end(p, end);
            Place ink = run;
            while (!seen && ink < p)
                seen = *ink++ != ' ';
            if (cut == NULL && seen) {
                int64_t needed = head > chars ? head - chars : 0;
                if (needed < ink - run)
                    needed = ink - run;
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
        seen = seen || is_seen(character);
        if (cut == NULL && seen && chars >= head)
            cut = p;
    }
    if (p >= end)
        return NULL;
    *text = (Text){chars, cut ? cut : p, p};
    return p;
}

/* The place after a string whose content is left to the parser, from the one after its opening
   quote; NULL where it does not end. */
static Place skip_string(Place p, Place end)
{
    for (p = simple_end(p, end); p < end; p = simple_end(p, end)) {
        if (*p == '"')
            return p + 1;
        p += *p == '\\' ? 2 : 1;
        while (p < end && *p >= 0x80)
            p++;
    }
    return NULL;
}

/* --- records ------------------------------------------------------------------------------- */

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static inline Place skip_blanks(Place p, Place end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* The place after a list or an object; NULL where it does not end. */
static Place skip_nested(Place p, Place end)
{
    size_t depth = 0;
    while (p < end) {
        uint8_t c = *p++;
        if (c == '"') {
            if ((p = skip_string(p, end)) == NULL)
                return NULL;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (--depth == 0)
                return p;
        }
    }
    return NULL;
}

/* The place after a number, true, false or null; NULL where there is nothing of the kind. */
static Place skip_scalar(Place p, Place end)
{
    Place start = p;
    while (p < end && !is_blank(*p) && *p != ',' && *p != '}' && *p != '"')
        p++;
    return p > start ? p : NULL;
}

static Place skip_value(Place p, Place end)
{
    if (*p == '"')
        return skip_string(p + 1, end);
    return *p == '{' || *p == '[' ? skip_nested(p, end) : skip_scalar(p, end);
}

/* Which of the texts a key names; TEXTS for any other key. */
static int text_of(Place key, size_t length)
{
    int which = 0;
    while (which < TEXTS
           && (length != KEYS[which].length || memcmp(key, KEYS[which].name, length) != 0))
        which++;
    return which;
}

/* Whether a response that begins at p may be blank, or begin with one of the openings: none that
   has other two characters of ASCII there, the first a letter or digit. */
static bool may_tell(const Wanted *wanted, Place p, Place end)
{
    if (end - p < 2 || !is_alphanumeric(p[0]) || !is_simple(p[1]))
        return true;
    for (Py_ssize_t i = 0; i + 1 < wanted->length; i += 2)
        if (p[0] == wanted->openings[i] && p[1] == wanted->openings[i + 1])
            return true;
    return false;
}

/* How much of a text at p is to be kept. */
static Py_ssize_t head_of(const Wanted *wanted, int which, Place p, Place end)
{
    if (which == PROMPT)
        return 0;
    return may_tell(wanted, p, end) ? wanted->head : 0;
}

/* Reads a key and its value at p, and returns the place after them; NULL where they are not plain:
   an escape in the key, a text that is there twice. */
static Place read_member(Payload *payload, Place p, const Wanted *wanted)
{
    Place end = payload->end;
    if (p >= end || *p != '"')
        return NULL;
    Place key = ++p;
    if ((p = skip_string(p, end)) == NULL)
        return NULL;
    size_t length = (size_t)(p - 1 - key);
    if (memchr(key, '\\', length) != NULL)
        return NULL;
    p = skip_blanks(p, end);
    if (p >= end || *p != ':')
        return NULL;
    p = skip_blanks(p + 1, end);
    if (p >= end)
        return NULL;
    int which = text_of(key, length);
    if (which == TEXTS)
        return skip_value(p, end);
    Text *text = &payload->texts[which];
    if (text->from != NULL)
        return NULL;
    if (*p == '"') {
        p = read_text(p + 1, end, head_of(wanted, which, p + 1, end), text);
        return p ? p + 1 : NULL;
    }
    *text = (Text){NOT_TAKEN, p, p};
    return skip_value(p, end);
}

/* Reads a whole payload; whether it is plain. */
static bool read_record(Payload *payload, const Wanted *wanted)
{
    for (int which = 0; which < TEXTS; which++)
        payload->texts[which] = (Text){NOT_TAKEN, NULL, NULL};
    Place end = payload->end, p = skip_blanks(payload->start, end);
    if (p >= end || *p != '{')
        return false;
    do {
        p = read_member(payload, skip_blanks(p + 1, end), wanted);
        if (p == NULL)
            return false;
        p = skip_blanks(p, end);
    } while (p < end && *p == ',');
    return p < end && *p == '}' && skip_blanks(p + 1, end) == end;
}

/* --- what comes out ------------------------------------------------------------------------ */

static size_t length_of(const Payload *payload)
{
    size_t length = (size_t)(payload->end - payload->start);
    for (int which = 0; which < TEXTS; which++)
        length -= (size_t)(payload->texts[which].to - payload->texts[which].from);
    return length;
}

static uint8_t *copy(uint8_t *out, Place from, Place to)
{
    memcpy(out, from, (size_t)(to - from));
    return out + (to - from);
}

/* Writes a payload without what is left out of its texts, and returns the place after it. */
static uint8_t *write_record(uint8_t *out, const Payload *payload)
{
    const Text *first = &payload->texts[PROMPT], *second = &payload->texts[RESPONSE];
    if (second->from < first->from) {
        const Text *other = first;
        first = second, second = other;
    }
    Place p = payload->start;
    if (first->from != NULL) {
        out = copy(out, p, first->from);
        p = first->to;
    }
    if (second->from != NULL) {
        out = copy(out, p, second->from);
        p = second->to;
    }
    return copy(out, p, payload->end);
}

/* Writes the plain payloads as one JSON list, and says in the table where each is in it. */
static void write_all(uint8_t *out, int64_t *row, const Payload *payloads, Py_ssize_t n)
{
    uint8_t *start = out, *p = out + 1;
    for (Py_ssize_t i = 0; i < n; i++, row += COLUMNS) {
        memset(row, 0, COLUMNS * sizeof *row);
        if (!payloads[i].plain)
            continue;
        row[START] = p - start;
        p = write_record(p, &payloads[i]);
        row[STOP] = p - start;
        row[PROMPT_CHARS] = payloads[i].texts[PROMPT].chars;
        row[RESPONSE_CHARS] = payloads[i].texts[RESPONSE].chars;
        *p++ = ',';
    }
    *start = '[';
    p[p > start + 1 ? -1 : 0] = ']'; /* in place of the last comma */
}

static PyObject *result_of(const Payload *payloads, Py_ssize_t n)
{
    size_t length = 2;
    for (Py_ssize_t i = 0; i < n; i++)
        if (payloads[i].plain)
            length += length_of(&payloads[i]) + 1;
    if (length > 2)
        length--; /* a comma less than records */
    Py_ssize_t size = n * (Py_ssize_t)(COLUMNS * sizeof(int64_t));
    PyObject *list = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
    PyObject *table = list ? PyBytes_FromStringAndSize(NULL, size) : NULL;
    PyObject *result = table ? PyTuple_Pack(2, list, table) : NULL;
    if (result) {
        uint8_t *out = (uint8_t *)PyBytes_AsString(list);
        int64_t *rows = (int64_t *)(void *)PyBytes_AsString(table);
        Py_BEGIN_ALLOW_THREADS
        write_all(out, rows, payloads, n);
        Py_END_ALLOW_THREADS
    }
    Py_XDECREF(list);
    Py_XDECREF(table);
    return result;
}

/* Where the bytes of each payload are; NULL, with an error set, where one is no bytes. */
static Payload *payloads_of(PyObject *held, Py_ssize_t n)
{
    Payload *payloads = PyMem_Calloc(n ? (size_t)n : 1, sizeof *payloads);
    if (payloads == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        char *bytes;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(held, i), &bytes, &length) < 0) {
            PyMem_Free(payloads);
            return NULL;
        }
        payloads[i].start = (Place)bytes;
        payloads[i].end = (Place)bytes + length;
    }
    return payloads;
}

PyDoc_STRVAR(shorten_doc,
"shorten(payloads, openings, head, most, /)\n--\n\n"
"JSON objects without most of their texts: (a JSON list of them, a table as raw int64).\n\n"
"payloads: a sequence of bytes. most: in bytes; longer payloads are not looked at.\n"
"Of `prompt` nothing is kept. Of `response` at least `head` characters are, and so many that it\n"
"can be told from them whether all are blank; or nothing, where it begins with a letter or digit\n"
"of ASCII, and another character of ASCII that makes it none of the openings, which are pairs.\n"
"A row of the table: start and stop in the list, characters of prompt and of response; -1 where\n"
"that is no text, and the list has whatever it is. All zero: not in the list, because the payload\n"
"is out of the ordinary, and may be no record.");

static void read_all(Payload *payloads, Py_ssize_t n, const Wanted *wanted, Py_ssize_t most)
{
    for (Payload *each = payloads; each < payloads + n; each++)
        each->plain = each->end - each->start <= most && read_record(each, wanted);
}

static PyObject *shorten(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given;
    Wanted wanted;
    const char *openings;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "Oy#nn:shorten", &given, &openings, &wanted.length, &wanted.head,
                          &most))
        return NULL;
    wanted.openings = (Place)openings;
    PyObject *held = PySequence_Tuple(given); /* nobody can take the bytes away meanwhile */
    if (held == NULL)
        return NULL;
    Py_ssize_t n = PyTuple_Size(held);
    PyObject *result = NULL;
    Payload *payloads = payloads_of(held, n);
    if (payloads != NULL) {
        Py_BEGIN_ALLOW_THREADS
        read_all(payloads, n, &wanted, most);
        Py_END_ALLOW_THREADS
        result = result_of(payloads, n);
    }
    PyMem_Free(payloads);
    Py_DECREF(held);
    return result;
}

static PyMethodDef METHODS[] = {
    {"shorten", shorten, METH_VARARGS, shorten_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{0, NULL}};

static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "monitor.decode._scan",
    .m_doc = "Takes the long texts out of JSON records before they are parsed.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__scan(void)
{
    return PyModuleDef_Init(&MODULE);
}
