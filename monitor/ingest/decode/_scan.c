/* Removes long texts from JSON records before they are parsed.

   Most of a record is its prompt and its response, but the features need only their lengths and
   the beginning of the response. One pass, without holding the GIL, validates these texts as
   strictly as the parser, counts their characters, and removes the text that is not needed. The
   parser then parses the short JSON that remains.

   The scanner accepts no record. A payload is *plain* if it has the usual form: one object, no
   escapes in keys, each text at most once, and valid texts. Other payloads are left whole for the
   parser. Of a plain payload everything outside the texts is unchanged and is still parsed. If the
   result is JSON, then the parser finds the same strings and brackets as the scanner, because both
   are determined by bytes alone, and replacing one valid string by another changes nothing else.
   So the parser still finds every error outside the texts.

   Every read is bounded by the end of the payload. There is no recursion. Memory is allocated for
   the list of payloads and for the result, which is not longer than the payloads. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef const uint8_t *Place;

/* A text of a record: its length, and the part that is removed. */
typedef struct {
    int64_t chars; /* NOT_COUNTED: absent, or not a string */
    Place from, to;
} Text;

enum { PROMPT, RESPONSE, TEXTS };

static const struct {
    const char *name;
    size_t length;
} KEYS[TEXTS] = {{"prompt", 6}, {"response", 8}};

static const int64_t NOT_COUNTED = -1;

typedef struct {
    Place start, end;
    Text texts[TEXTS];
    bool plain;
} Payload;

/* The part of a response that is kept: a part of reasoning and `head` characters after it, if these
   begin with one of the openings, or always if there are no openings. The openings are lines in
   lower case, sorted; first[c] is the first one that begins with the byte c, NULL if there is none. */
typedef struct {
    Py_ssize_t head, length;
    Place openings;
    Place first[256];
} Keep;

/* Names of the tags of a part of reasoning. */
static const char *const REASONING[] = {"think", "thinking", "thought", "reasoning", "THINK"};

/* Columns of the table in the result. */
enum { START, STOP, PROMPT_CHARS, RESPONSE_CHARS, COLUMNS };

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

/* Returns the value of four hexadecimal digits at p, or -1 if there are none. */
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

/* Reads the escape at p. Returns its length in bytes, or 0 if it is invalid or a lone surrogate. */
static int escape(Place p, Place end, uint32_t *character)
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

/* Reads a character of several bytes (Unicode, table 3-7). Returns its length or 0. */
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
static Place read_text(Place p, Place end, Py_ssize_t head, Text *text)
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

/* Skips a string, from after its opening quote, without validation. NULL if it does not end. */
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

/* Skips a number, true, false or null. NULL if there is none. */
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

/* Returns which text a key names, or TEXTS for any other key. */
static int text_of(Place key, size_t length)
{
    int which = 0;
    while (which < TEXTS
           && (length != KEYS[which].length || memcmp(key, KEYS[which].name, length) != 0))
        which++;
    return which;
}

static inline uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Returns whether a text at p may begin with an opening, of either case. It may if they are equal
   up to a byte of the text that is not simple: the scanner compares only ASCII. */
static bool may_begin_with(Place opening, Place p, Place end)
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
static bool may_matter(const Keep *keep, Place p, Place end)
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
static int read_character(Place p, Place end, uint32_t *character)
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
static Place find_close(Place p, Place end, Place name, size_t length)
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
static Py_ssize_t reasoning_of(Place p, Place end)
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

/* Returns how many characters of a text at p to keep. */
static Py_ssize_t head_of(const Keep *keep, int which, Place p, Place end)
{
    if (which == PROMPT || !may_matter(keep, p, end))
        return 0;
    return is_alphanumeric(p < end ? *p : ' ') ? keep->head : reasoning_of(p, end) + keep->head;
}

/* Fills `first`. */
static void index_openings(Keep *keep)
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

/* Reads a key and its value at p and returns their end, or NULL if they are not plain: an escape
   in the key, or a text for the second time. */
static Place read_member(Payload *payload, Place p, const Keep *keep)
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
        p = read_text(p + 1, end, head_of(keep, which, p + 1, end), text);
        return p ? p + 1 : NULL;
    }
    *text = (Text){NOT_COUNTED, p, p};
    return skip_value(p, end);
}

/* Reads a payload and returns whether it is plain. */
static bool read_record(Payload *payload, const Keep *keep)
{
    for (int which = 0; which < TEXTS; which++)
        payload->texts[which] = (Text){NOT_COUNTED, NULL, NULL};
    Place end = payload->end, p = skip_blanks(payload->start, end);
    if (p >= end || *p != '{')
        return false;
    do {
        p = read_member(payload, skip_blanks(p + 1, end), keep);
        if (p == NULL)
            return false;
        p = skip_blanks(p, end);
    } while (p < end && *p == ',');
    return p < end && *p == '}' && skip_blanks(p + 1, end) == end;
}

/* --- output -------------------------------------------------------------------------------- */

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

/* Writes a payload without the removed parts of its texts, and returns the end. */
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

/* Writes the plain payloads as one JSON list, and the position of each to the table. */
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
    p[p > start + 1 ? -1 : 0] = ']'; /* replaces the last comma */
}

static PyObject *result_of(const Payload *payloads, Py_ssize_t n)
{
    size_t length = 2;
    for (Py_ssize_t i = 0; i < n; i++)
        if (payloads[i].plain)
            length += length_of(&payloads[i]) + 1;
    if (length > 2)
        length--; /* there is no comma after the last record */
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

/* Returns the payloads; NULL with an error set if one of them is not a bytes object. */
static Payload *payloads_of(PyObject *tuple, Py_ssize_t n)
{
    Payload *payloads = PyMem_Calloc(n ? (size_t)n : 1, sizeof *payloads);
    if (payloads == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        char *bytes;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &bytes, &length) < 0) {
            PyMem_Free(payloads);
            return NULL;
        }
        payloads[i].start = (Place)bytes;
        payloads[i].end = (Place)bytes + length;
    }
    return payloads;
}

PyDoc_STRVAR(shorten_doc,
"shorten(payloads, openings, head, max_bytes, /)\n--\n\n"
"Remove most of the text from JSON records: (JSON list of them, table as raw int64).\n\n"
"payloads: a sequence of bytes. max_bytes: longer payloads are not read.\n"
"openings: sorted lines in lower case, or nothing.\n"
"`prompt` is removed. Of `response`, at least `head` characters after a part of reasoning are kept,\n"
"and enough of them to show whether it is blank. It is removed if it begins with an ASCII letter or\n"
"digit and with none of the openings; characters beyond ASCII are not compared.\n"
"A row of the table: start and stop in the list, number of characters of prompt and of response;\n"
"-1 if it is not a text, in which case the list has the original value. All zero: the payload is\n"
"not in the list, because it does not have the usual form and may not be a record.");

static void read_all(Payload *payloads, Py_ssize_t n, const Keep *keep, Py_ssize_t max_bytes)
{
    for (Payload *each = payloads; each < payloads + n; each++)
        each->plain = each->end - each->start <= max_bytes && read_record(each, keep);
}

static PyObject *shorten(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given;
    Keep keep;
    const char *openings;
    Py_ssize_t max_bytes;
    if (!PyArg_ParseTuple(args, "Oy#nn:shorten", &given, &openings, &keep.length, &keep.head,
                          &max_bytes))
        return NULL;
    keep.openings = (Place)openings;
    if (keep.length > 0 && openings[keep.length - 1] != '\n') {
        PyErr_SetString(PyExc_ValueError, "openings must be lines");
        return NULL;
    }
    index_openings(&keep);
    PyObject *tuple = PySequence_Tuple(given); /* keeps the bytes alive without the GIL */
    if (tuple == NULL)
        return NULL;
    Py_ssize_t n = PyTuple_Size(tuple);
    PyObject *result = NULL;
    Payload *payloads = payloads_of(tuple, n);
    if (payloads != NULL) {
        Py_BEGIN_ALLOW_THREADS
        read_all(payloads, n, &keep, max_bytes);
        Py_END_ALLOW_THREADS
        result = result_of(payloads, n);
    }
    PyMem_Free(payloads);
    Py_DECREF(tuple);
    return result;
}

static PyMethodDef METHODS[] = {
    {"shorten", shorten, METH_VARARGS, shorten_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{0, NULL}};

static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "monitor.ingest.decode._scan",
    .m_doc = "Removes long texts from JSON records before they are parsed.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__scan(void)
{
    return PyModuleDef_Init(&MODULE);
}
