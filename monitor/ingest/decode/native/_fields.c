/* Reads native records, one JSON object each, into columns.

   One pass over a batch, without holding the GIL and without an object for a record, reads the fields
   that features, experiments and joins need, validates the texts of prompts and responses as strictly
   as the decoder of Python, and counts their characters. Of a response, only a beginning is kept that
   may be that of a refusal.

   A payload is *usual* if it is a valid record without anything out of the ordinary: no escapes in
   keys, names and ids, no known key twice, numbers of at most 19 digits, at most MAX_SCORES names of
   scores in a batch. Others are left to the decoder in Python, which accepts or rejects them. Every
   usual payload is one that it accepts, with the same values; the fuzz tests compare both. What no
   feature needs is skipped, and must be valid JSON.

   Every read is bounded by the end of the payload. There is no recursion beyond MAX_DEPTH. A payload
   changes the columns only once it was read to its end. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

#include "json_numbers.h"
#include "json_text.h"
#include "texts.h"

enum { MAX_SCORES = 32, MAX_REMEMBERED = 32 };

/* Rows of the matrix of numbers. */
enum { TIME, LATENCY, FIRST_TOKEN, INPUT, OUTPUT, COST, PROMPT_CHARS, RESPONSE_CHARS, NUMBERS };

/* Columns of names: each value gets a code. The watched keys of metadata follow. */
enum { MODEL, FINISH_REASON, EXPERIMENTS, FIRST_KEY };

/* Columns of JSON values that are decoded where they are needed. */
enum { USER_ID, SESSION_ID, FEEDBACK, TRACE_ID, SPAN_ID, RAWS };

/* How the value of a field is read. */
typedef enum {
    A_NUMBER, A_TIME, AN_ID, A_PROMPT, A_RESPONSE, AN_ERROR, A_NAME, ITS_SCORES, ITS_METADATA, A_VARIANT,
    A_RAW, NOTHING
} Kind;

static const struct {
    const char *name;
    size_t length;
    Kind kind;
    int index; /* of the row or column */
} FIELDS[] = {
    {"request_id", 10, AN_ID, 0},
    {"timestamp", 9, A_TIME, TIME},
    {"model", 5, A_NAME, MODEL},
    {"prompt", 6, A_PROMPT, PROMPT_CHARS},
    {"response", 8, A_RESPONSE, RESPONSE_CHARS},
    {"latency_ms", 10, A_NUMBER, LATENCY},
    {"time_to_first_token_ms", 22, A_NUMBER, FIRST_TOKEN},
    {"input_tokens", 12, A_NUMBER, INPUT},
    {"output_tokens", 13, A_NUMBER, OUTPUT},
    {"cost_usd", 8, A_NUMBER, COST},
    {"finish_reason", 13, A_NAME, FINISH_REASON},
    {"error", 5, AN_ERROR, 0},
    {"scores", 6, ITS_SCORES, 0},
    {"metadata", 8, ITS_METADATA, 0},
    {"experiments", 11, A_VARIANT, EXPERIMENTS},
    {"user_id", 7, A_RAW, USER_ID},
    {"session_id", 10, A_RAW, SESSION_ID},
    {"feedback", 8, A_RAW, FEEDBACK},
    {"trace_id", 8, A_RAW, TRACE_ID},
    {"span_id", 7, A_RAW, SPAN_ID},
};

enum { KNOWN = sizeof FIELDS / sizeof *FIELDS, REQUIRED = 7 /* the first three */ };

/* A column of names. slots: code + 1 of a value by its hash, 0 if free. */
typedef struct {
    Bytes *values;
    int32_t *slots, *codes;
    uint32_t mask;
    int32_t count, last;
} Names;

typedef struct {
    Bytes name;
    double value;
} Score;

/* A record before it is added to the columns. */
typedef struct {
    double numbers[NUMBERS];
    bool failed;
    Bytes id, head;
    Bytes *names; /* without a value: empty, at NULL */
    Bytes raws[RAWS];
    Score scores[MAX_SCORES];
    int score_count;
    uint32_t seen;
} Row;

/* A member's key with its quotes and colon, as it was last read, and what it names. Records of a log have
   mostly the same keys in the same order. */
typedef struct {
    Bytes key;
    int field;
} Remembered;

/* The columns of a batch of at most `size` records, of which `rows` were added.

   keys: watched keys of metadata. optional: whether experiments and RAWS are read. */
typedef struct {
    Py_ssize_t size, rows;
    Keep keep;
    Bytes *keys;
    Py_ssize_t key_count;
    bool optional;
    int64_t *indices;
    double *numbers;
    uint8_t *failed;
    Names *names;
    Bytes *ids, *raws;
    int64_t *head_rows;
    Bytes *heads;
    Py_ssize_t head_count;
    Bytes score_names[MAX_SCORES];
    double *scores[MAX_SCORES]; /* shape (size,) each, and behind it whether it is given, as bytes */
    int score_count;
    Remembered remembered[MAX_REMEMBERED]; /* by place in the record */
} Batch;

/* --- values -------------------------------------------------------------------------------- */

static inline bool is_equal(Bytes a, Bytes b)
{
    size_t size = (size_t)(a.end - a.at);
    return (size_t)(b.end - b.at) == size && memcmp(a.at, b.at, size) == 0;
}

static inline bool is_null(Bytes *in)
{
    return in->at < in->end && *in->at == 'n' && skip_word(in, "null");
}

static inline bool is_number_next(const Bytes *in)
{
    return in->at < in->end && (*in->at == '-' || (uint8_t)(*in->at - '0') < 10);
}

/* Skips a value that nothing reads. */
static bool skip_any(Bytes *in)
{
    return skip_value_with(in, 0, skip_any_number);
}

/* Reads a text without escapes. */
static bool read_name(Bytes *in, Bytes *name)
{
    return read_string(in, name) && !is_escaped(*name) && is_utf8(*name);
}

static bool read_time_value(Bytes *in, double *seconds)
{
    Bytes text;
    if (is_number_next(in))
        return read_number(in, seconds);
    return read_string(in, &text) && read_time(text, seconds);
}

static bool read_error(Bytes *in, bool *failed)
{
    Bytes text;
    if (!read_string(in, &text) || !is_utf8(text))
        return false;
    *failed = text.at < text.end;
    return true;
}

static bool read_prompt(Bytes *in, double *chars)
{
    Text text;
    Place after = NULL;
    if (in->at < in->end && *in->at == '"') {
        after = read_text(in->at + 1, in->end, 0, &text);
        after = after ? after + 1 : NULL;
    } else if (in->at < in->end && *in->at == '[') {
        after = read_chat(in->at, in->end, &text);
    }
    if (after == NULL)
        return false;
    in->at = after;
    *chars = (double)text.chars;
    return true;
}

static bool read_response(Bytes *in, const Keep *keep, Row *row)
{
    Text text;
    if (in->at == in->end || *in->at != '"')
        return false;
    Place start = in->at + 1;
    ptrdiff_t head = head_of(keep, start, in->end);
    Place close = read_text(start, in->end, head, &text);
    if (close == NULL)
        return false;
    in->at = close + 1;
    row->numbers[RESPONSE_CHARS] = (double)text.chars;
    row->head = (Bytes){start, text.from};
    return true;
}

static bool read_scores(Bytes *in, Row *row)
{
    if (!accept(in, '{'))
        return false;
    if (accept(in, '}'))
        return true;
    do {
        Score score = {.value = NAN};
        if (row->score_count == MAX_SCORES || !read_key(in, &score.name) || !is_utf8(score.name))
            return false;
        for (int i = 0; i < row->score_count; i++)
            if (is_equal(row->scores[i].name, score.name))
                return false;
        skip_blanks(in);
        if (!is_null(in) && !read_number(in, &score.value))
            return false;
        row->scores[row->score_count++] = score;
    } while (accept(in, ','));
    return accept(in, '}');
}

/* Reads the watched keys of metadata; their values are kept as JSON. */
static bool read_metadata(Bytes *in, const Batch *batch, Row *row)
{
    Bytes whole = *in, key;
    if (!accept(in, '{'))
        return false;
    if (accept(in, '}'))
        return true;
    do {
        if (!read_key(in, &key))
            return false;
        skip_blanks(in);
        Bytes value = *in;
        if (!skip_any(in))
            return false;
        value.end = in->at;
        for (Py_ssize_t i = 0; i < batch->key_count; i++) {
            if (!is_equal(batch->keys[i], key))
                continue;
            if (row->names[FIRST_KEY + i].at != NULL)
                return false;
            row->names[FIRST_KEY + i] = value;
        }
    } while (accept(in, ','));
    whole.end = in->at;
    return accept(in, '}') && is_utf8(whole);
}

/* --- records ------------------------------------------------------------------------------- */

static int field_of(Bytes key)
{
    size_t length = (size_t)(key.end - key.at);
    int field = 0;
    while (field < KNOWN
           && (FIELDS[field].length != length || memcmp(FIELDS[field].name, key.at, length) != 0))
        field++;
    return field;
}

/* Reads the JSON of a value. */
static bool read_raw(Bytes *in, Bytes *raw)
{
    raw->at = in->at;
    bool done = skip_any(in);
    raw->end = in->at;
    return done;
}

static bool read_field(Bytes *in, const Batch *batch, int field, Row *row)
{
    int index = FIELDS[field].index;
    skip_blanks(in);
    switch (FIELDS[field].kind) {
    case AN_ID: return read_name(in, &row->id);
    case A_TIME: return read_time_value(in, &row->numbers[TIME]);
    case ITS_METADATA:
        if (batch->key_count == 0)
            return skip_any(in);
        break;
    case A_VARIANT: return batch->optional ? read_raw(in, &row->names[index]) : skip_any(in);
    case A_RAW: return batch->optional ? read_raw(in, &row->raws[index]) : skip_any(in);
    default: break;
    }
    if (index != MODEL || FIELDS[field].kind != A_NAME) {
        if (is_null(in))
            return true;
    }
    switch (FIELDS[field].kind) {
    case A_NUMBER: return read_number(in, &row->numbers[index]);
    case A_PROMPT: return read_prompt(in, &row->numbers[index]);
    case A_RESPONSE: return read_response(in, &batch->keep, row);
    case AN_ERROR: return read_error(in, &row->failed);
    case A_NAME: return read_name(in, &row->names[index]);
    case ITS_SCORES: return read_scores(in, row);
    default: return read_metadata(in, batch, row);
    }
}

/* Reads a key with its colon; returns the field, or -1. place: among the members of the record. */
static int read_field_name(Bytes *in, Batch *batch, int place)
{
    Bytes key, start;
    Remembered *last = place < MAX_REMEMBERED ? &batch->remembered[place] : NULL;
    skip_blanks(in);
    if (last != NULL) {
        size_t size = (size_t)(last->key.end - last->key.at);
        if (size > 0 && (size_t)(in->end - in->at) >= size && memcmp(in->at, last->key.at, size) == 0) {
            in->at += size;
            return last->field;
        }
    }
    start = *in;
    if (!read_key(in, &key))
        return -1;
    int field = field_of(key);
    if (last != NULL)
        *last = (Remembered){{start.at, in->at}, field};
    return field;
}

static bool read_member(Bytes *in, Batch *batch, int place, Row *row)
{
    int field = read_field_name(in, batch, place);
    if (field < 0)
        return false;
    if (field == KNOWN) {
        skip_blanks(in);
        return skip_any(in);
    }
    if (row->seen & 1u << field)
        return false;
    row->seen |= 1u << field;
    return read_field(in, batch, field, row);
}

/* Reads a payload and returns whether it is usual. */
static bool read_record(Bytes in, Batch *batch, double max_time, Row *row)
{
    for (int i = 0; i < NUMBERS; i++)
        row->numbers[i] = NAN;
    memset(row->names, 0, (size_t)(FIRST_KEY + batch->key_count) * sizeof *row->names);
    memset(row->raws, 0, sizeof row->raws);
    row->head = (Bytes){NULL, NULL};
    row->failed = false;
    row->score_count = 0;
    row->seen = 0;
    if (!accept(&in, '{'))
        return false;
    int place = 0;
    do {
        if (!read_member(&in, batch, place++, row))
            return false;
    } while (accept(&in, ','));
    double time = row->numbers[TIME];
    return accept(&in, '}') && is_end_of_json(&in) && (row->seen & REQUIRED) == REQUIRED && time >= 0.0
           && time <= max_time;
}

/* --- columns ------------------------------------------------------------------------------- */

static int32_t code_of(Names *names, Bytes value)
{
    if (value.at == NULL)
        return -1;
    if (names->last >= 0 && is_equal(names->values[names->last], value))
        return names->last;
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (Place p = value.at; p < value.end; p++)
        hash = (hash ^ *p) * 16777619u;
    uint32_t slot = hash & names->mask;
    while (names->slots[slot] != 0) {
        int32_t code = names->slots[slot] - 1;
        if (is_equal(names->values[code], value))
            return names->last = code;
        slot = (slot + 1) & names->mask;
    }
    names->values[names->count] = value;
    names->slots[slot] = ++names->count;
    return names->last = names->count - 1;
}

static int find_score(const Batch *batch, Bytes name)
{
    int found = 0;
    while (found < batch->score_count && !is_equal(batch->score_names[found], name))
        found++;
    return found;
}

static inline char *given(const Batch *batch, int score)
{
    return (char *)(void *)(batch->scores[score] + batch->size);
}

/* Makes a column for a score. */
static bool add_score_name(Batch *batch, Bytes name)
{
    int score = batch->score_count;
    size_t size = (size_t)batch->size;
    double *column = score < MAX_SCORES ? malloc(size * (sizeof *column + 1)) : NULL;
    if (column == NULL)
        return false;
    for (size_t i = 0; i < size; i++)
        column[i] = NAN;
    batch->scores[score] = column;
    batch->score_names[score] = name;
    memset(given(batch, score), 0, size);
    batch->score_count++;
    return true;
}

/* Makes columns for the new names of the scores of a record. Returns whether there is room. */
static bool add_score_names(Batch *batch, const Row *row)
{
    int before = batch->score_count;
    for (int i = 0; i < row->score_count; i++) {
        Bytes name = row->scores[i].name;
        if (find_score(batch, name) < batch->score_count || add_score_name(batch, name))
            continue;
        while (batch->score_count > before)
            free(batch->scores[--batch->score_count]);
        return false;
    }
    return true;
}

/* Adds a record to the columns. Returns whether there was room for the names of its scores. */
static bool add(Batch *batch, const Row *row, Py_ssize_t index)
{
    if (row->score_count > 0 && !add_score_names(batch, row))
        return false;
    Py_ssize_t at = batch->rows++;
    batch->indices[at] = index;
    for (int i = 0; i < NUMBERS; i++)
        batch->numbers[i * batch->size + at] = row->numbers[i];
    batch->failed[at] = row->failed;
    batch->ids[at] = row->id;
    for (Py_ssize_t i = 0; i < FIRST_KEY + batch->key_count; i++)
        batch->names[i].codes[at] = code_of(&batch->names[i], row->names[i]);
    for (int i = 0; batch->optional && i < RAWS; i++)
        batch->raws[i * batch->size + at] = row->raws[i];
    if (row->head.at < row->head.end) {
        batch->head_rows[batch->head_count] = at;
        batch->heads[batch->head_count++] = row->head;
    }
    for (int i = 0; i < row->score_count; i++) {
        int found = find_score(batch, row->scores[i].name);
        batch->scores[found][at] = row->scores[i].value;
        given(batch, found)[at] = 1;
    }
    return true;
}

static void read_all(Batch *batch, Row *row, const Bytes *payloads, Py_ssize_t max_bytes, double max_time)
{
    for (Py_ssize_t i = 0; i < batch->size; i++)
        if (payloads[i].end - payloads[i].at <= max_bytes
            && read_record(payloads[i], batch, max_time, row))
            (void)add(batch, row, i);
}

/* --- memory -------------------------------------------------------------------------------- */

static void free_batch(Batch *batch)
{
    for (Py_ssize_t i = 0; batch->names != NULL && i < FIRST_KEY + batch->key_count; i++) {
        free(batch->names[i].values);
        free(batch->names[i].slots);
    }
    for (int i = 0; i < batch->score_count; i++)
        free(batch->scores[i]);
    free(batch->names);
    free(batch->keys);
    free(batch->ids);
    free(batch->raws);
    free(batch->head_rows);
    free(batch->heads);
}

static bool make_names(Names *names, Py_ssize_t size, int32_t *codes)
{
    uint32_t slots = 16;
    while ((Py_ssize_t)slots < 2 * size)
        slots *= 2;
    names->mask = slots - 1;
    names->last = -1;
    names->codes = codes;
    names->values = malloc((size_t)size * sizeof *names->values + 1);
    names->slots = calloc(slots, sizeof *names->slots);
    return names->values != NULL && names->slots != NULL;
}

/* Reserves memory. codes: of all columns of names. */
static bool make_batch(Batch *batch, int32_t *codes)
{
    size_t size = (size_t)batch->size + 1, columns = (size_t)(FIRST_KEY + batch->key_count);
    batch->names = calloc(columns, sizeof *batch->names);
    batch->ids = malloc(size * sizeof *batch->ids);
    batch->raws = malloc((batch->optional ? size * RAWS : 1) * sizeof *batch->raws);
    batch->head_rows = malloc(size * sizeof *batch->head_rows);
    batch->heads = malloc(size * sizeof *batch->heads);
    if (!batch->names || !batch->ids || !batch->raws || !batch->head_rows || !batch->heads)
        return false;
    for (size_t i = 0; i < columns; i++)
        if (!make_names(&batch->names[i], batch->size, codes + i * (size_t)batch->size))
            return false;
    return true;
}

/* --- output -------------------------------------------------------------------------------- */

static char *copied(char *out, Bytes bytes)
{
    size_t size = (size_t)(bytes.end - bytes.at);
    if (size > 0)
        memcpy(out, bytes.at, size);
    return out + size;
}

/* Returns texts one after the other, and where each begins, as raw int64. */
static PyObject *joined(const Bytes *texts, Py_ssize_t n)
{
    Py_ssize_t size = 0;
    for (Py_ssize_t i = 0; i < n; i++)
        size += texts[i].end - texts[i].at;
    PyObject *data = PyBytes_FromStringAndSize(NULL, size);
    PyObject *starts = data
        ? PyBytes_FromStringAndSize(NULL, (n + 1) * (Py_ssize_t)sizeof(int64_t)) : NULL;
    if (starts == NULL) {
        Py_XDECREF(data);
        return NULL;
    }
    char *out = PyBytes_AsString(data), *first = out;
    int64_t *start = (int64_t *)(void *)PyBytes_AsString(starts);
    for (Py_ssize_t i = 0; i < n; i++) {
        start[i] = out - first;
        out = copied(out, texts[i]);
    }
    start[n] = out - first;
    return Py_BuildValue("(NN)", data, starts);
}

/* Returns values separated by commas. quote: whether they are the inside of strings. */
static PyObject *separated(const Bytes *values, Py_ssize_t n, bool quote)
{
    static const Bytes NONE = {(Place) "null", (Place) "null" + 4};
    Py_ssize_t size = n > 0 ? n - 1 : 0;
    for (Py_ssize_t i = 0; i < n; i++)
        size += values[i].at == NULL ? 4 : values[i].end - values[i].at + (quote ? 2 : 0);
    PyObject *list = PyBytes_FromStringAndSize(NULL, size);
    if (list == NULL)
        return NULL;
    char *out = PyBytes_AsString(list);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (i > 0)
            *out++ = ',';
        if (quote)
            *out++ = '"';
        out = copied(out, values[i].at == NULL ? NONE : values[i]);
        if (quote)
            *out++ = '"';
    }
    return list;
}

static PyObject *tuple_of(const Bytes *values, Py_ssize_t n)
{
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *each =
            PyBytes_FromStringAndSize((const char *)values[i].at, values[i].end - values[i].at);
        if (each == NULL || PyTuple_SetItem(tuple, i, each) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *vocabularies_of(const Batch *batch)
{
    Py_ssize_t n = FIRST_KEY + batch->key_count;
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *each = tuple_of(batch->names[i].values, batch->names[i].count);
        if (each == NULL || PyTuple_SetItem(tuple, i, each) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *raws_of(const Batch *batch)
{
    Py_ssize_t n = batch->optional ? RAWS : 0;
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *each = separated(batch->raws + i * batch->size, batch->rows, false);
        if (each == NULL || PyTuple_SetItem(tuple, i, each) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* Returns names and values of scores, and where they are given. */
static PyObject *scores_of(const Batch *batch)
{
    Py_ssize_t n = batch->rows, column = n * (Py_ssize_t)sizeof(double);
    PyObject *names = tuple_of(batch->score_names, batch->score_count);
    PyObject *values = PyBytes_FromStringAndSize(NULL, column * batch->score_count);
    PyObject *marks = PyBytes_FromStringAndSize(NULL, n * batch->score_count);
    for (int i = 0; values != NULL && marks != NULL && n > 0 && i < batch->score_count; i++) {
        memcpy(PyBytes_AsString(values) + i * column, batch->scores[i], (size_t)column);
        memcpy(PyBytes_AsString(marks) + i * n, given(batch, i), (size_t)n);
    }
    return Py_BuildValue("(NNN)", names, values, marks);
}

static PyObject *heads_of(const Batch *batch)
{
    PyObject *texts = separated(batch->heads, batch->head_count, true);
    if (texts == NULL)
        return NULL;
    return Py_BuildValue("(y#N)", (const char *)batch->head_rows,
                         batch->head_count * (Py_ssize_t)sizeof(int64_t), texts);
}

/* --- arguments ----------------------------------------------------------------------------- */

/* Returns the bytes objects of a tuple; NULL with an error set if one of them is something else. */
static Bytes *bytes_of(PyObject *tuple, Py_ssize_t n)
{
    Bytes *found = malloc((size_t)n * sizeof *found + 1);
    if (found == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        char *bytes;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &bytes, &length) < 0) {
            free(found);
            return NULL;
        }
        found[i] = (Bytes){(Place)bytes, (Place)bytes + length};
    }
    return found;
}

PyDoc_STRVAR(read_doc,
"read(payloads, openings, head, max_bytes, max_time, keys, optional, /)\n--\n\n"
"Read the usual ones among native records into columns.\n\n"
"payloads: a sequence of bytes. max_bytes: longer payloads are not read. max_time: epoch seconds.\n"
"openings: sorted lines in lower case, or nothing. Of `response`, at least `head` characters after a\n"
"part of reasoning are kept, and enough of them to show whether it is blank. Nothing is kept if it\n"
"begins with an ASCII letter or digit and with none of the openings; characters beyond ASCII are not\n"
"compared. keys: of metadata, a tuple of bytes. optional: whether experiments and ids are read.\n"
"Returns a tuple, with arrays as raw bytes; m of the n payloads are usual:\n"
"m; index of each as int64, shape (n,); numbers as float64, shape (8, n), NaN if missing; whether each\n"
"is an error, shape (n,); codes of names as int32, shape (3 + keys, n), -1 if missing; their values\n"
"in bytes; ids and where each begins; JSON values of optional fields, separated by commas; rows and\n"
"texts of the responses that are kept; of scores the names, values and marks of given ones, both of\n"
"shape (names, m).");

/* Reads the payloads, and returns the result. tuple: of them, which it keeps alive. */
static PyObject *read_batch(Batch *batch, PyObject *tuple, Py_ssize_t max_bytes, double max_time)
{
    Py_ssize_t n = batch->size, columns = FIRST_KEY + batch->key_count;
    PyObject *arrays[4] = {
        PyBytes_FromStringAndSize(NULL, n * (Py_ssize_t)sizeof(int64_t)),
        PyBytes_FromStringAndSize(NULL, n * (Py_ssize_t)sizeof(double) * NUMBERS),
        PyBytes_FromStringAndSize(NULL, n),
        PyBytes_FromStringAndSize(NULL, n * columns * (Py_ssize_t)sizeof(int32_t)),
    };
    PyObject *result = NULL;
    Bytes *payloads = bytes_of(tuple, n);
    Row row = {.names = malloc((size_t)columns * sizeof *row.names)};
    if (payloads && row.names && arrays[0] && arrays[1] && arrays[2] && arrays[3]) {
        batch->indices = (int64_t *)(void *)PyBytes_AsString(arrays[0]);
        batch->numbers = (double *)(void *)PyBytes_AsString(arrays[1]);
        batch->failed = (uint8_t *)PyBytes_AsString(arrays[2]);
        if (make_batch(batch, (int32_t *)(void *)PyBytes_AsString(arrays[3]))) {
            Py_BEGIN_ALLOW_THREADS
            read_all(batch, &row, payloads, max_bytes, max_time);
            Py_END_ALLOW_THREADS
            result = Py_BuildValue("(nOOOONNNNN)", batch->rows, arrays[0], arrays[1], arrays[2],
                                   arrays[3], vocabularies_of(batch), joined(batch->ids, batch->rows),
                                   raws_of(batch), heads_of(batch), scores_of(batch));
        }
    }
    if (result == NULL && !PyErr_Occurred())
        PyErr_NoMemory();
    free(payloads);
    free(row.names);
    for (int i = 0; i < 4; i++)
        Py_XDECREF(arrays[i]);
    return result;
}

static PyObject *read_fields(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given, *keys;
    Batch batch = {0};
    const char *openings;
    Py_ssize_t length, head, max_bytes;
    double max_time;
    int optional;
    if (!PyArg_ParseTuple(args, "Oy#nndO!p:read", &given, &openings, &length, &head, &max_bytes,
                          &max_time, &PyTuple_Type, &keys, &optional))
        return NULL;
    batch.keep = (Keep){.head = head, .length = length, .openings = (Place)openings};
    if (length > 0 && openings[length - 1] != '\n') {
        PyErr_SetString(PyExc_ValueError, "openings must be lines");
        return NULL;
    }
    index_openings(&batch.keep);
    PyObject *tuple = PySequence_Tuple(given); /* keeps the bytes alive without the GIL */
    if (tuple == NULL)
        return NULL;
    batch.size = PyTuple_Size(tuple);
    batch.optional = optional != 0;
    PyObject *result = NULL;
    batch.keys = bytes_of(keys, PyTuple_Size(keys));
    if (batch.keys != NULL) {
        batch.key_count = PyTuple_Size(keys);
        result = read_batch(&batch, tuple, max_bytes, max_time);
    }
    free_batch(&batch);
    Py_DECREF(tuple);
    return result;
}

static PyMethodDef METHODS[] = {
    {"read", read_fields, METH_VARARGS, read_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{0, NULL}};

static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "monitor.ingest.decode.native._fields",
    .m_doc = "Reads native records into columns.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__fields(void)
{
    return PyModuleDef_Init(&MODULE);
}
