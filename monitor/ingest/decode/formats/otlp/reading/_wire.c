/* Reads the wanted attributes of OTLP in protobuf, without building the others.

   The reader accepts only messages of which it knows every field, and leaves the others to the
   official library: unknown fields, groups, wrong wire types, repeated fields that are not lists,
   invalid UTF-8, and deep nesting. What it accepts is valid for the official library, too, and a test
   shows that both give the same. Every length is compared with the bytes that are left before it is
   used, and the depth of recursion is bounded. Source: opentelemetry-proto 1.9. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../../../native/json_text.h"

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };
enum { MAX_VARINT_BYTES = 10, TRACE_BYTES = 16, SPAN_BYTES = 8 };

/* --- wire format --------------------------------------------------------------------------- */

/* Reads a number of 64 bits. Returns false if it is damaged. */
static inline bool read_varint(Bytes *in, uint64_t *value)
{
    if (in->at < in->end && *in->at < 0x80) {
        *value = *in->at++;
        return true;
    }
    uint64_t result = 0;
    for (int i = 0; i < MAX_VARINT_BYTES && in->at < in->end; i++) {
        uint8_t byte = *in->at++;
        if (i == MAX_VARINT_BYTES - 1 && byte > 1)
            return false;
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}

static inline bool read_fixed64(Bytes *in, uint64_t *value)
{
    if (in->end - in->at < 8)
        return false;
    *value = 0;
    for (int i = 0; i < 8; i++)
        *value |= (uint64_t)in->at[i] << (8 * i);
    in->at += 8;
    return true;
}

static inline bool skip_fixed32(Bytes *in)
{
    if (in->end - in->at < 4)
        return false;
    in->at += 4;
    return true;
}

static inline bool read_length(Bytes *in, Bytes *part)
{
    uint64_t size;
    if (!read_varint(in, &size) || size > (uint64_t)(in->end - in->at))
        return false;
    part->at = in->at;
    part->end = in->at += size;
    return true;
}

/* Reads the number of a field and its wire type as one value: see `TAG`. */
static inline bool read_tag(Bytes *in, uint64_t *tag)
{
    return read_varint(in, tag) && *tag <= 0x7ff;
}

#define TAG(number, wire) ((number) << 3 | (wire))

static bool skip_text(Bytes *in)
{
    Bytes text;
    return read_length(in, &text) && is_utf8(text);
}

/* Attributes of a usual call of the current conventions. */
enum {
    OPERATION, REQUEST_MODEL, RESPONSE_MODEL, RESPONSE_ID, FINISH_REASONS, INPUT_TOKENS,
    OUTPUT_TOKENS, CACHE_READ, CONVERSATION, INPUT_MESSAGES, OUTPUT_MESSAGES, SYSTEM, USER, STREAM,
    FIRST_CHUNK, CURRENT_NAMES
};

static const char *const CURRENT[CURRENT_NAMES] = {
    "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.id",
    "gen_ai.response.finish_reasons", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.conversation.id", "gen_ai.input.messages",
    "gen_ai.output.messages", "gen_ai.system_instructions", "user.id", "gen_ai.request.stream",
    "gen_ai.response.time_to_first_chunk",
};

/* --- wanted names -------------------------------------------------------------------------- */

enum { SLOTS = 512, MAX_PREFIXES = 32 };

typedef struct {
    const char *text;
    Py_ssize_t size;
    PyObject *name;    /* owned */
    const char *value; /* of a finish reason: the one of the record */
    int code;          /* of an attribute of the current conventions: 1 + its place in CURRENT */
} Name;

/* Names by hash, with linear probing. At most half of the slots are used. */
typedef struct {
    Name slots[SLOTS];
    Name prefixes[MAX_PREFIXES];
    int n_prefixes;
    Name events[SLOTS];
    Name reasons[SLOTS];
    PyObject *reason_values; /* keeps the values of the reasons alive */
    PyObject *event_name; /* the attribute "event.name" */
    bool natives;         /* whether usual calls become native records */
} Wanted;

static const char CAPSULE[] = "monitor.ingest.decode.formats.otlp.reading._wire.Wanted";

static inline uint32_t hash_of(Place at, Py_ssize_t size)
{
    uint32_t hash = (uint32_t)size;
    for (Py_ssize_t i = size - 1; i >= 0 && i >= size - 12; i--) /* names differ at their ends */
        hash = (hash ^ at[i]) * 16777619u;
    return hash ^ hash >> 15;
}

/* Returns the slot of a name, or the empty slot where it belongs. */
static inline Name *slot_of(Name *slots, Place at, Py_ssize_t size)
{
    uint32_t i = hash_of(at, size) % SLOTS;
    while (slots[i].name != NULL
           && (slots[i].size != size || memcmp(slots[i].text, at, (size_t)size) != 0))
        i = (i + 1) % SLOTS;
    return &slots[i];
}

static PyObject *text_of(Bytes text)
{
    return PyUnicode_DecodeUTF8((const char *)text.at, text.end - text.at, NULL);
}

/* Returns the slot of a wanted name; NULL if it is not in the table. by_prefix: whether the name is
   wanted because of its beginning. */
static Name *wanted_name(Wanted *wanted, Bytes key, bool *by_prefix)
{
    Py_ssize_t size = key.end - key.at;
    Name *slot = slot_of(wanted->slots, key.at, size);
    *by_prefix = false;
    if (slot->name != NULL)
        return slot;
    for (const Name *p = wanted->prefixes; p < wanted->prefixes + wanted->n_prefixes; p++)
        if (size >= p->size && memcmp(key.at, p->text, (size_t)p->size) == 0)
            *by_prefix = true;
    return NULL;
}

/* Returns a new reference to the name of an attribute if it is wanted; NULL if not, or on error. */
static PyObject *wanted_key(Wanted *wanted, Bytes key)
{
    bool by_prefix;
    Name *slot = wanted_name(wanted, key, &by_prefix);
    return slot != NULL ? Py_NewRef(slot->name) : by_prefix ? text_of(key) : NULL;
}

static void free_wanted(PyObject *capsule)
{
    Wanted *wanted = PyCapsule_GetPointer(capsule, CAPSULE);
    if (wanted == NULL)
        return;
    for (int i = 0; i < SLOTS; i++) {
        Py_XDECREF(wanted->slots[i].name);
        Py_XDECREF(wanted->events[i].name);
        Py_XDECREF(wanted->reasons[i].name);
    }
    for (int i = 0; i < MAX_PREFIXES; i++)
        Py_XDECREF(wanted->prefixes[i].name);
    Py_XDECREF(wanted->event_name);
    Py_XDECREF(wanted->reason_values);
    PyMem_Free(wanted);
}

/* Calls `add` for each text of a tuple. Returns false with an exception set if one is none. */
static bool each_name(PyObject *tuple, Name *slots, Name *list, int *n, Py_ssize_t most)
{
    if (PyTuple_Size(tuple) > most) {
        PyErr_SetString(PyExc_ValueError, "too many names");
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_Size(tuple); i++) {
        Py_ssize_t size;
        PyObject *name = PyTuple_GetItem(tuple, i);
        const char *text = PyUnicode_AsUTF8AndSize(name, &size);
        if (text == NULL)
            return false;
        Name *place = slots != NULL ? slot_of(slots, (Place)text, size) : &list[(*n)++];
        if (place->name == NULL)
            *place = (Name){text, size, Py_NewRef(name), NULL, 0};
    }
    return true;
}

/* Marks the names of the current conventions. */
static void number_names(Wanted *wanted)
{
    for (int code = 0; code < CURRENT_NAMES; code++) {
        Name *slot = slot_of(wanted->slots, (Place)CURRENT[code], (Py_ssize_t)strlen(CURRENT[code]));
        if (slot->name != NULL)
            slot->code = code + 1;
    }
}

/* Sets the values of the finish reasons. */
static bool set_reasons(Wanted *wanted, PyObject *names, PyObject *values)
{
    wanted->reason_values = Py_NewRef(values);
    if (PyTuple_Size(names) != PyTuple_Size(values)) {
        PyErr_SetString(PyExc_ValueError, "a finish reason has no value");
        return false;
    }
    if (!each_name(names, wanted->reasons, NULL, NULL, SLOTS / 2))
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_Size(names); i++) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(names, i), &size);
        const char *value = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(values, i), NULL);
        if (text == NULL || value == NULL)
            return false;
        slot_of(wanted->reasons, (Place)text, size)->value = value;
    }
    return true;
}

PyDoc_STRVAR(wanted_doc,
"wanted(names, prefixes, events, reasons, natives, /)\n--\n\n"
"Return what the reader looks for: names of attributes, their beginnings, and names of events of\n"
"spans; each is a tuple of texts.\n\n"
"reasons: a tuple of finish reasons and a tuple of those of records. natives: whether usual calls\n"
"become native records.");

static PyObject *wanted_of(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *names, *prefixes, *events, *reasons, *values;
    int natives;
    if (!PyArg_ParseTuple(args, "O!O!O!(O!O!)p:wanted", &PyTuple_Type, &names, &PyTuple_Type,
                          &prefixes, &PyTuple_Type, &events, &PyTuple_Type, &reasons, &PyTuple_Type,
                          &values, &natives))
        return NULL;
    Wanted *wanted = PyMem_Calloc(1, sizeof *wanted);
    if (wanted == NULL)
        return PyErr_NoMemory();
    PyObject *capsule = PyCapsule_New(wanted, CAPSULE, free_wanted);
    if (capsule == NULL) {
        PyMem_Free(wanted);
        return NULL;
    }
    wanted->natives = natives;
    wanted->event_name = PyUnicode_InternFromString("event.name");
    if (wanted->event_name == NULL || !each_name(names, wanted->slots, NULL, NULL, SLOTS / 2)
        || !each_name(events, wanted->events, NULL, NULL, SLOTS / 2)
        || !each_name(prefixes, NULL, wanted->prefixes, &wanted->n_prefixes, MAX_PREFIXES)
        || !set_reasons(wanted, reasons, values)) {
        Py_DECREF(capsule);
        return NULL;
    }
    number_names(wanted);
    return capsule;
}

/* --- values -------------------------------------------------------------------------------- */

/* All readers return false if the message is left to the official library, or with an exception. A
   result is NULL where nothing is built. */

static bool read_any(Bytes in, int depth, bool build, PyObject **value);

static bool read_list(Bytes in, int depth, bool build, PyObject **value)
{
    PyObject *list = NULL;
    if (build && (list = PyList_New(0)) == NULL)
        return false;
    uint64_t tag;
    Bytes part;
    while (in.at < in.end) {
        PyObject *item = NULL;
        bool done = read_tag(&in, &tag) && tag == TAG(1, LENGTH) && read_length(&in, &part)
                    && read_any(part, depth, build, &item)
                    && (!build || PyList_Append(list, item) == 0);
        Py_XDECREF(item);
        if (!done) {
            Py_XDECREF(list);
            return false;
        }
    }
    *value = list;
    return true;
}

/* Reads the key and the value of a KeyValue. An absent value is an empty one. */
static bool read_pair(Bytes in, Bytes *key, Bytes *value)
{
    bool has_key = false, has_value = false;
    *key = *value = (Bytes){in.end, in.end};
    uint64_t tag;
    while (in.at < in.end) {
        if (!read_tag(&in, &tag))
            return false;
        if (tag == TAG(1, LENGTH) && !has_key)
            has_key = read_length(&in, key);
        else if (tag == TAG(2, LENGTH) && !has_value)
            has_value = read_length(&in, value);
        else
            return false;
        if (!(tag == TAG(1, LENGTH) ? has_key : has_value))
            return false;
    }
    return true;
}

static bool read_map(Bytes in, int depth, bool build, PyObject **value)
{
    PyObject *map = NULL;
    if (build && (map = PyDict_New()) == NULL)
        return false;
    uint64_t tag;
    Bytes part, key, inner;
    while (in.at < in.end) {
        PyObject *name = NULL, *item = NULL;
        bool done = read_tag(&in, &tag) && tag == TAG(1, LENGTH) && read_length(&in, &part)
                    && read_pair(part, &key, &inner) && read_any(inner, depth, build, &item);
        if (done && build)
            done = (name = text_of(key)) != NULL && PyDict_SetItem(map, name, item) == 0;
        else if (done)
            done = is_utf8(key);
        Py_XDECREF(name);
        Py_XDECREF(item);
        if (!done) {
            Py_XDECREF(map);
            return false;
        }
    }
    *value = map;
    return true;
}

static PyObject *double_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return PyFloat_FromDouble(number);
}

/* Reads an AnyValue; None if it is empty or of bytes. */
static bool read_any(Bytes in, int depth, bool build, PyObject **value)
{
    uint64_t tag, number;
    Bytes part;
    *value = NULL;
    if (depth >= MAX_DEPTH)
        return false;
    if (in.at == in.end) {
        *value = build ? Py_NewRef(Py_None) : NULL;
        return true;
    }
    if (!read_tag(&in, &tag))
        return false;
    bool done = false;
    switch (tag) {
    case TAG(1, LENGTH):
        done = read_length(&in, &part)
               && (build ? (*value = text_of(part)) != NULL : is_utf8(part));
        break;
    case TAG(2, VARINT):
        done = read_varint(&in, &number)
               && (!build || (*value = PyBool_FromLong(number != 0)) != NULL);
        break;
    case TAG(3, VARINT):
        done = read_varint(&in, &number)
               && (!build || (*value = PyLong_FromLongLong((int64_t)number)) != NULL);
        break;
    case TAG(4, FIXED64):
        done = read_fixed64(&in, &number) && (!build || (*value = double_of(number)) != NULL);
        break;
    case TAG(5, LENGTH):
        done = read_length(&in, &part) && read_list(part, depth + 1, build, value);
        break;
    case TAG(6, LENGTH):
        done = read_length(&in, &part) && read_map(part, depth + 1, build, value);
        break;
    case TAG(7, LENGTH):
        done = read_length(&in, &part) && (!build || (*value = Py_NewRef(Py_None)) != NULL);
        break;
    }
    if (done && in.at == in.end)
        return true;
    Py_CLEAR(*value);
    return false;
}

/* Reads a KeyValue, and puts it into a dict if it is wanted and has a value. */
static bool read_attribute(Wanted *wanted, Bytes in, PyObject *attributes)
{
    Bytes key, value;
    if (!read_pair(in, &key, &value))
        return false;
    PyObject *name = wanted_key(wanted, key), *item = NULL;
    if (name == NULL && PyErr_Occurred())
        return false;
    bool done = (name != NULL || is_utf8(key)) && read_any(value, 0, name != NULL, &item);
    if (done && name != NULL && item != Py_None)
        done = PyDict_SetItem(attributes, name, item) == 0;
    Py_XDECREF(name);
    Py_XDECREF(item);
    return done;
}

/* --- spans and log records ----------------------------------------------------------------- */

/* Returns an identifier as a hexadecimal text: "" if it is absent or zero. */
static PyObject *hexadecimal(Bytes id)
{
    static const char DIGITS[] = "0123456789abcdef";
    char text[2 * TRACE_BYTES];
    uint8_t any = 0;
    int n = 0;
    for (Place p = id.at; p < id.end; p++) {
        any |= *p;
        text[n++] = DIGITS[*p >> 4];
        text[n++] = DIGITS[*p & 15];
    }
    return PyUnicode_FromStringAndSize(text, any ? n : 0);
}

static bool read_id(Bytes *in, Py_ssize_t size, Bytes *id)
{
    return read_length(in, id) && (id->at == id->end || id->end - id->at == size);
}

static bool skip_varint(Bytes *in)
{
    uint64_t number;
    return read_varint(in, &number);
}

/* Attributes of an entry before anything is built of them. */
enum { MAX_PAIRS = 64 };

typedef struct {
    Bytes key, value;
    Name *name; /* NULL if it is wanted because of its beginning */
} Pair;

typedef struct {
    Pair pairs[MAX_PAIRS];
    int n;
    bool overflowed; /* earlier ones are in the dict of the entry already */
} Pairs;

typedef struct {
    Bytes trace, span, parent, message;
    uint64_t start, end, code;
    PyObject *attributes, *events; /* owned */
    Pairs *pairs;                  /* of a span: wanted attributes */
} Entry;

/* Puts the collected attributes into the dict of the entry. */
static bool build_attributes(Entry *entry)
{
    Pairs *pairs = entry->pairs;
    for (int i = 0; i < pairs->n; i++) {
        const Pair *pair = &pairs->pairs[i];
        PyObject *item = NULL, *name = pair->name != NULL ? Py_NewRef(pair->name->name) : text_of(pair->key);
        bool done = name != NULL && read_any(pair->value, 0, true, &item);
        if (done && item != Py_None)
            done = PyDict_SetItem(entry->attributes, name, item) == 0;
        Py_XDECREF(item);
        Py_XDECREF(name);
        if (!done)
            return false;
    }
    pairs->n = 0;
    return true;
}

/* Keeps a wanted attribute for later, and checks the others. */
static bool collect_attribute(Wanted *wanted, Bytes in, Entry *entry)
{
    Bytes key, value;
    PyObject *nothing;
    if (!read_pair(in, &key, &value) || !is_utf8(key) || !read_any(value, 0, false, &nothing))
        return false;
    bool by_prefix;
    Name *name = wanted_name(wanted, key, &by_prefix);
    if (name == NULL && !by_prefix)
        return true;
    if (entry->pairs->n == MAX_PAIRS) {
        entry->pairs->overflowed = true;
        if (!build_attributes(entry))
            return false;
    }
    entry->pairs->pairs[entry->pairs->n++] = (Pair){key, value, name};
    return true;
}

static bool read_status(Bytes in, Entry *entry)
{
    uint64_t tag;
    while (in.at < in.end) {
        if (!read_tag(&in, &tag))
            return false;
        if (tag == TAG(2, LENGTH) ? !read_length(&in, &entry->message)
                                  : tag != TAG(3, VARINT) || !read_varint(&in, &entry->code))
            return false;
    }
    return entry->code <= INT32_MAX && is_utf8(entry->message);
}

static bool read_event(Wanted *wanted, Bytes in, PyObject *events)
{
    uint64_t tag, time = 0;
    Bytes part, name = {in.end, in.end};
    PyObject *attributes = PyDict_New();
    bool done = attributes != NULL;
    while (done && in.at < in.end) {
        if (!(done = read_tag(&in, &tag)))
            break;
        switch (tag) {
        case TAG(1, FIXED64): done = read_fixed64(&in, &time); break;
        case TAG(2, LENGTH): done = read_length(&in, &name) && is_utf8(name); break;
        case TAG(3, LENGTH):
            done = read_length(&in, &part) && read_attribute(wanted, part, attributes);
            break;
        case TAG(4, VARINT): done = skip_varint(&in); break;
        default: done = false;
        }
    }
    const Name *slot = done ? slot_of(wanted->events, name.at, name.end - name.at) : NULL;
    if (slot != NULL && slot->name != NULL) {
        PyObject *event = Py_BuildValue("(OKO)", slot->name, (unsigned long long)time, attributes);
        done = event != NULL && PyList_Append(events, event) == 0;
        Py_XDECREF(event);
    }
    Py_XDECREF(attributes);
    return done;
}

static bool skip_link(Wanted *wanted, Bytes in, PyObject *scratch)
{
    uint64_t tag;
    Bytes part;
    while (in.at < in.end) {
        bool done = read_tag(&in, &tag);
        if (!done)
            return false;
        switch (tag) {
        case TAG(1, LENGTH): case TAG(2, LENGTH): done = read_length(&in, &part); break;
        case TAG(3, LENGTH): done = skip_text(&in); break;
        case TAG(4, LENGTH):
            done = read_length(&in, &part) && read_attribute(wanted, part, scratch);
            break;
        case TAG(5, VARINT): done = skip_varint(&in); break;
        case TAG(6, FIXED32): done = skip_fixed32(&in); break;
        default: done = false;
        }
        if (!done)
            return false;
    }
    return true;
}

static bool skip_links(Wanted *wanted, Bytes link)
{
    PyObject *scratch = PyDict_New();
    bool done = scratch != NULL && skip_link(wanted, link, scratch);
    Py_XDECREF(scratch);
    return done;
}

static bool read_span(Wanted *wanted, Bytes in, Entry *entry)
{
    uint64_t tag;
    Bytes part;
    bool has_status = false;
    while (in.at < in.end) {
        bool done = read_tag(&in, &tag);
        if (!done)
            return false;
        switch (tag) {
        case TAG(1, LENGTH): done = read_id(&in, TRACE_BYTES, &entry->trace); break;
        case TAG(2, LENGTH): done = read_id(&in, SPAN_BYTES, &entry->span); break;
        case TAG(3, LENGTH): case TAG(5, LENGTH): done = skip_text(&in); break;
        case TAG(4, LENGTH): done = read_id(&in, SPAN_BYTES, &entry->parent); break;
        case TAG(6, VARINT): case TAG(10, VARINT): case TAG(12, VARINT): case TAG(14, VARINT):
            done = skip_varint(&in);
            break;
        case TAG(7, FIXED64): done = read_fixed64(&in, &entry->start); break;
        case TAG(8, FIXED64): done = read_fixed64(&in, &entry->end); break;
        case TAG(9, LENGTH):
            done = read_length(&in, &part) && collect_attribute(wanted, part, entry);
            break;
        case TAG(11, LENGTH):
            done = read_length(&in, &part) && read_event(wanted, part, entry->events);
            break;
        case TAG(13, LENGTH): done = read_length(&in, &part) && skip_links(wanted, part); break;
        case TAG(15, LENGTH):
            done = !has_status && read_length(&in, &part) && read_status(part, entry);
            has_status = true;
            break;
        case TAG(16, FIXED32): done = skip_fixed32(&in); break;
        default: done = false;
        }
        if (!done)
            return false;
    }
    return true;
}

static bool read_log_record(Wanted *wanted, Bytes in, Entry *entry)
{
    uint64_t tag;
    Bytes part;
    PyObject *nothing;
    bool has_body = false;
    while (in.at < in.end) {
        bool done = read_tag(&in, &tag);
        if (!done)
            return false;
        switch (tag) {
        case TAG(1, FIXED64): done = read_fixed64(&in, &entry->start); break;
        case TAG(2, VARINT): case TAG(7, VARINT): done = skip_varint(&in); break;
        case TAG(3, LENGTH): done = skip_text(&in); break;
        case TAG(5, LENGTH):
            done = !has_body && read_length(&in, &part) && read_any(part, 0, false, &nothing);
            has_body = true;
            break;
        case TAG(6, LENGTH):
            done = read_length(&in, &part) && read_attribute(wanted, part, entry->attributes);
            break;
        case TAG(8, FIXED32): done = skip_fixed32(&in); break;
        case TAG(9, LENGTH): done = read_id(&in, TRACE_BYTES, &entry->trace); break;
        case TAG(10, LENGTH): done = read_id(&in, SPAN_BYTES, &entry->span); break;
        case TAG(11, FIXED64): done = read_fixed64(&in, &entry->end); break;
        case TAG(12, LENGTH): done = read_length(&in, &entry->message) && is_utf8(entry->message); break;
        default: done = false;
        }
        if (!done)
            return false;
    }
    return true;
}

/* --- native records ------------------------------------------------------------------------ */

/* A usual call of the current conventions is written as the JSON of a native record, so that Python
   need not touch its fields one by one. Texts of messages are copied as they are escaped. Everything
   unusual is left to the general path: other attributes, errors, redacted texts, messages of another
   shape. */

enum { MAX_ID_BYTES = 500, MAX_TOKENS = 1000000000, SPARE_BYTES = 2048, FAILED = 2 };
static const uint64_t MAX_START = 7258118400000000000u; /* the year 2200 */

/* Writes a member with a text that needs no escapes. */
static void put_text(Out *out, const char *key, Bytes text)
{
    for (Place p = text.at; p < text.end; p++)
        if (*p < 0x20 || *p == '"' || *p == '\\')
            out->ok = false;
    put_literal(out, key);
    put_literal(out, "\"");
    put_bytes(out, text);
    put_literal(out, "\"");
}

static const char *const OTHER_CONTENT[] = {"content", "output", "tool_calls", "function_call",
                                            "refusal", NULL};

/* Reads a message. Writes its texts, between what the caller writes around them; the role and the
   reason are returned, because they may stand behind the parts. */
static bool read_message_json(Bytes *in, Out *out, Parts *parts, Bytes *role, Bytes *reason)
{
    Bytes key;
    bool seen_role = false, seen_parts = false, seen_reason = false;
    *role = *reason = (Bytes){in->at, in->at};
    if (!accept(in, '{') || accept(in, '}'))
        return false;
    do {
        if (!read_key(in, &key) || is_one_of(key, OTHER_CONTENT))
            return false;
        bool done;
        if (is_one_of(key, (const char *const[]){"role", NULL}))
            done = read_text_or_null(in, role, &seen_role);
        else if (is_one_of(key, (const char *const[]){"finish_reason", NULL}))
            done = read_text_or_null(in, reason, &seen_reason);
        else if (is_one_of(key, (const char *const[]){"parts", NULL})) {
            done = !seen_parts && read_parts(in, out, parts);
            seen_parts = true;
        } else
            done = skip_value(in, 0);
        if (!done)
            return false;
    } while (accept(in, ','));
    return accept(in, '}') && seen_parts && !is_escaped(*role) && !is_escaped(*reason)
           && role->end - role->at <= MAX_ROLE_BYTES;
}

/* Writes the prompt: instructions of the system, and messages. */
static bool write_prompt(Bytes messages, Bytes system, Out *out)
{
    Parts parts;
    Bytes role, reason;
    int n = 0;
    char *start = out->at;
    put_literal(out, ",\"prompt\":[");
    if (system.at < system.end) {
        char *before = out->at;
        put_literal(out, "{\"role\":\"system\",\"content\":\"");
        if (!read_parts(&system, out, &parts) || !is_end_of_json(&system))
            return false;
        put_literal(out, "\"}");
        n = parts.any_text;
        if (!parts.any_text)
            out->at = before;
    }
    if (messages.at < messages.end) {
        if (!accept(&messages, '['))
            return false;
        if (!accept(&messages, ']')) {
            do {
                put_literal(out, n++ ? ",{\"content\":\"" : "{\"content\":\"");
                if (n > MAX_MESSAGES || !out->ok
                    || !read_message_json(&messages, out, &parts, &role, &reason))
                    return false;
                put_literal(out, "\",\"role\":\"");
                put_bytes(out, role.at < role.end ? role : literal("user"));
                put_literal(out, "\"}");
            } while (accept(&messages, ','));
            if (!accept(&messages, ']'))
                return false;
        }
        if (!is_end_of_json(&messages))
            return false;
    }
    put_literal(out, "]");
    if (n == 0)
        out->at = start;
    return out->ok;
}

/* Writes the response: the text of the first message. reason: its finish reason. */
static bool write_response(Bytes messages, Out *out, Bytes *reason)
{
    Parts parts;
    Bytes role, other;
    char *start = out->at;
    if (messages.at == messages.end)
        return true;
    if (!accept(&messages, '['))
        return false;
    if (accept(&messages, ']'))
        return is_end_of_json(&messages);
    put_literal(out, ",\"response\":\"");
    if (!out->ok || !read_message_json(&messages, out, &parts, &role, reason))
        return false;
    put_literal(out, "\"");
    if (parts.calls_tools && !parts.any_text)
        out->at = start;
    for (int n = 1; accept(&messages, ','); n++) {
        char *before = out->at;
        if (n > MAX_MESSAGES || !read_message_json(&messages, out, &parts, &role, &other))
            return false;
        out->at = before;
    }
    return out->ok && accept(&messages, ']') && is_end_of_json(&messages);
}

/* Returns the attribute of the current conventions; NULL if it is absent. */
static const Pair *find(const Pairs *pairs, int code)
{
    for (int i = 0; i < pairs->n; i++)
        if (pairs->pairs[i].name->code == code + 1)
            return &pairs->pairs[i];
    return NULL;
}

/* Reads the text of an attribute; empty if it is absent. */
static bool text_in(const Pairs *pairs, int code, Bytes *text)
{
    const Pair *pair = find(pairs, code);
    *text = (Bytes){NULL, NULL};
    if (pair == NULL)
        return true;
    Bytes in = pair->value;
    uint64_t tag;
    return read_tag(&in, &tag) && tag == TAG(1, LENGTH) && read_length(&in, text) && in.at == in.end
           && text->at < text->end;
}

/* Reads messages, which must be a list in JSON. */
static bool messages_in(const Pairs *pairs, int code, Bytes *text)
{
    return text_in(pairs, code, text) && (text->at == text->end || *text->at == '[');
}

/* Reads a number of tokens; -1 if it is absent. */
static bool tokens_in(const Pairs *pairs, int code, int64_t *tokens)
{
    const Pair *pair = find(pairs, code);
    *tokens = -1;
    if (pair == NULL)
        return true;
    Bytes in = pair->value;
    uint64_t tag, number;
    if (!read_tag(&in, &tag) || tag != TAG(3, VARINT) || !read_varint(&in, &number) || in.at != in.end
        || number > MAX_TOKENS)
        return false;
    *tokens = (int64_t)number;
    return true;
}

/* Writes a member with a number of nanoseconds in units of 10^digits of them, exactly. */
static void put_decimal(Out *out, const char *key, uint64_t nanoseconds, int digits)
{
    put_literal(out, key);
    put_fraction(out, nanoseconds, digits);
}

static void put_tokens(Out *out, const char *key, int64_t tokens)
{
    if (tokens < 0)
        return;
    put_literal(out, key);
    put_digits(out, (uint64_t)tokens, 1);
}

/* Writes the finish reason: of the attribute, else of the message. */
static bool put_reason(Wanted *wanted, const Pairs *pairs, Bytes reason, Out *out)
{
    const Pair *pair = find(pairs, FINISH_REASONS);
    if (pair != NULL) {
        Bytes in = pair->value, list, item;
        uint64_t tag;
        if (!read_tag(&in, &tag) || tag != TAG(5, LENGTH) || !read_length(&in, &list)
            || in.at != in.end)
            return false;
        if (list.at < list.end) {
            if (!read_tag(&list, &tag) || tag != TAG(1, LENGTH) || !read_length(&list, &item)
                || !read_tag(&item, &tag) || tag != TAG(1, LENGTH) || !read_length(&item, &reason)
                || reason.at == reason.end)
                return false;
        }
    }
    if (reason.at == reason.end)
        return true;
    const Name *known = slot_of(wanted->reasons, reason.at, reason.end - reason.at);
    if (known->name == NULL)
        return false;
    put_text(out, ",\"finish_reason\":", (Bytes){(Place)known->value, (Place)known->value + strlen(known->value)});
    return true;
}

static bool put_first_token(const Pairs *pairs, Out *out)
{
    const Pair *first = find(pairs, FIRST_CHUNK), *stream = find(pairs, STREAM);
    uint64_t tag, bits, flag = 1;
    if (stream != NULL) {
        Bytes in = stream->value;
        if (!read_tag(&in, &tag) || tag != TAG(2, VARINT) || !read_varint(&in, &flag)
            || in.at != in.end)
            return false;
    }
    if (first == NULL)
        return true;
    Bytes in = first->value;
    double seconds;
    char text[64];
    if (!read_tag(&in, &tag) || tag != TAG(4, FIXED64) || !read_fixed64(&in, &bits) || in.at != in.end)
        return false;
    memcpy(&seconds, &bits, sizeof seconds);
    if (!(seconds >= 0 && seconds < 1e9))
        return false;
    if (flag)
        put(out, text, (size_t)snprintf(text, sizeof text, ",\"time_to_first_token_ms\":%.17g",
                                        seconds * 1000));
    return true;
}

static void put_id(Out *out, const char *key, Bytes id)
{
    static const char DIGITS[] = "0123456789abcdef";
    put_literal(out, key);
    put_literal(out, "\"");
    for (Place p = id.at; p < id.end; p++)
        put(out, (const char[]){DIGITS[*p >> 4], DIGITS[*p & 15]}, 2);
    put_literal(out, "\"");
}

static bool is_zero(Bytes id)
{
    for (Place p = id.at; p < id.end; p++)
        if (*p != 0)
            return false;
    return true;
}

static bool put_texts(const Pairs *pairs, const Entry *entry, Out *out)
{
    Bytes id, requested, responded, user, session;
    if (!text_in(pairs, RESPONSE_ID, &id) || !text_in(pairs, REQUEST_MODEL, &requested)
        || !text_in(pairs, RESPONSE_MODEL, &responded) || !text_in(pairs, USER, &user)
        || !text_in(pairs, CONVERSATION, &session) || id.end - id.at > MAX_ID_BYTES
        || (requested.at == requested.end && responded.at == responded.end)
        || is_zero(entry->span) || is_zero(entry->trace))
        return false;
    if (id.at < id.end)
        put_text(out, "{\"request_id\":", id);
    else
        put_id(out, "{\"request_id\":", entry->span);
    put_text(out, ",\"model\":", requested.at < requested.end ? requested : responded);
    if (responded.at < responded.end)
        put_text(out, ",\"responded_model\":", responded);
    if (user.at < user.end)
        put_text(out, ",\"user_id\":", user);
    if (session.at < session.end)
        put_text(out, ",\"session_id\":", session);
    put_id(out, ",\"trace_id\":", entry->trace);
    put_id(out, ",\"span_id\":", entry->span);
    return true;
}

static bool write_record(Wanted *wanted, const Pairs *pairs, const Entry *entry, Out *out)
{
    static const char *const CALLS[] = {"chat", "text_completion", "generate_content", NULL};
    Bytes operation, messages, answers, system, reason = {NULL, NULL};
    int64_t input, output, cached;
    if (!text_in(pairs, OPERATION, &operation) || !is_one_of(operation, CALLS)
        || !messages_in(pairs, INPUT_MESSAGES, &messages)
        || !messages_in(pairs, OUTPUT_MESSAGES, &answers) || !messages_in(pairs, SYSTEM, &system)
        || !tokens_in(pairs, INPUT_TOKENS, &input) || !tokens_in(pairs, OUTPUT_TOKENS, &output)
        || !tokens_in(pairs, CACHE_READ, &cached) || cached > input || !put_texts(pairs, entry, out))
        return false;
    put_decimal(out, ",\"timestamp\":", entry->start, 9);
    if (entry->start <= entry->end)
        put_decimal(out, ",\"latency_ms\":", entry->end - entry->start, 6);
    put_tokens(out, ",\"input_tokens\":", input);
    put_tokens(out, ",\"output_tokens\":", output);
    bool done = put_first_token(pairs, out) && write_prompt(messages, system, out)
                && write_response(answers, out, &reason) && put_reason(wanted, pairs, reason, out);
    put_literal(out, "}");
    return done && out->ok;
}

/* Returns the native record of a usual call; NULL without an exception if the span is another. */
static PyObject *native_record(Wanted *wanted, const Pairs *pairs, const Entry *entry, Bytes span)
{
    if (entry->code == FAILED || PyList_Size(entry->events) > 0 || entry->start == 0
        || entry->start > MAX_START)
        return NULL;
    uint32_t seen = 0;
    for (int i = 0; i < pairs->n; i++) {
        const Name *name = pairs->pairs[i].name;
        if (name == NULL || name->code == 0 || (seen & 1u << name->code))
            return NULL;
        seen |= 1u << name->code;
    }
    size_t size = (size_t)(span.end - span.at) + SPARE_BYTES;
    char *text = PyMem_Malloc(size);
    if (text == NULL)
        return PyErr_NoMemory();
    Out out = {text, text + size, true};
    PyObject *record = NULL;
    if (write_record(wanted, pairs, entry, &out))
        record = PyBytes_FromStringAndSize(text, out.at - text);
    PyMem_Free(text);
    return record;
}

/* Returns a tuple with the fields of a span. The references to the attributes and events stay with
   the entry. */
static PyObject *span_of(const Entry *entry, PyObject *attributes)
{
    PyObject *trace = hexadecimal(entry->trace), *span = hexadecimal(entry->span),
             *parent = hexadecimal(entry->parent), *message = text_of(entry->message);
    PyObject *result = NULL;
    if (trace != NULL && span != NULL && parent != NULL && message != NULL)
        result = Py_BuildValue("(OOOKKKOOO)", trace, span, parent,
                               (unsigned long long)entry->start, (unsigned long long)entry->end,
                               (unsigned long long)entry->code, message, attributes, entry->events);
    Py_XDECREF(trace);
    Py_XDECREF(span);
    Py_XDECREF(parent);
    Py_XDECREF(message);
    return result;
}

static PyObject *log_record_of(Wanted *wanted, const Entry *entry, PyObject *attributes)
{
    PyObject *trace = hexadecimal(entry->trace), *span = hexadecimal(entry->span);
    PyObject *event = text_of(entry->message), *result = NULL;
    if (event != NULL && entry->message.at == entry->message.end) {
        PyObject *named = PyDict_GetItemWithError(entry->attributes, wanted->event_name);
        if (named != NULL && PyUnicode_Check(named)) {
            Py_DECREF(event);
            event = Py_NewRef(named);
        }
    }
    if (trace != NULL && span != NULL && event != NULL && !PyErr_Occurred())
        result = Py_BuildValue("(OKOOO)", event,
                               (unsigned long long)(entry->start ? entry->start : entry->end),
                               trace, span, attributes);
    Py_XDECREF(trace);
    Py_XDECREF(span);
    Py_XDECREF(event);
    return result;
}

/* Returns a new reference to the attributes of an entry, with those of the resource that it lacks. */
static PyObject *with_common(PyObject *attributes, PyObject *common)
{
    if (PyDict_Size(common) == 0)
        return Py_NewRef(attributes);
    PyObject *merged = PyDict_Copy(common);
    if (merged != NULL && PyDict_Update(merged, attributes) < 0)
        Py_CLEAR(merged);
    return merged;
}

/* Reads a span, whose attributes are those of a usual call as a native record, or a dict. */
static PyObject *read_span_entry(Wanted *wanted, Bytes in, PyObject *common, Entry *entry)
{
    Pairs pairs;
    pairs.n = 0;
    pairs.overflowed = false;
    entry->pairs = &pairs;
    PyObject *attributes = NULL, *result = NULL;
    if (!read_span(wanted, in, entry)) {
        entry->pairs = NULL;
        return NULL;
    }
    if (wanted->natives && !pairs.overflowed && PyDict_Size(common) == 0)
        attributes = native_record(wanted, &pairs, entry, in);
    if (attributes == NULL && !PyErr_Occurred() && build_attributes(entry))
        attributes = with_common(entry->attributes, common);
    if (attributes != NULL)
        result = span_of(entry, attributes);
    Py_XDECREF(attributes);
    entry->pairs = NULL;
    return result;
}

static PyObject *read_log_entry(Wanted *wanted, Bytes in, PyObject *common, Entry *entry)
{
    PyObject *attributes = NULL, *result = NULL;
    if (read_log_record(wanted, in, entry)
        && (attributes = with_common(entry->attributes, common)) != NULL)
        result = log_record_of(wanted, entry, attributes);
    Py_XDECREF(attributes);
    return result;
}

static bool read_entry(Wanted *wanted, Bytes in, bool logs, PyObject *common, PyObject *found)
{
    Bytes none = {in.end, in.end};
    Entry entry = {none, none, none, none, 0, 0, 0, PyDict_New(), PyList_New(0), NULL};
    PyObject *result = NULL;
    if (entry.attributes != NULL && entry.events != NULL)
        result = logs ? read_log_entry(wanted, in, common, &entry)
                      : read_span_entry(wanted, in, common, &entry);
    bool done = result != NULL && PyList_Append(found, result) == 0;
    Py_XDECREF(entry.attributes);
    Py_XDECREF(entry.events);
    Py_XDECREF(result);
    return done;
}

/* --- messages ------------------------------------------------------------------------------ */

static bool read_resource(Wanted *wanted, Bytes in, PyObject *common)
{
    uint64_t tag;
    Bytes part;
    while (in.at < in.end) {
        if (!read_tag(&in, &tag))
            return false;
        if (tag == TAG(1, LENGTH) ? !(read_length(&in, &part) && read_attribute(wanted, part, common))
                                  : tag != TAG(2, VARINT) || !skip_varint(&in))
            return false;
    }
    return true;
}

static bool skip_scope(Wanted *wanted, Bytes in)
{
    uint64_t tag;
    Bytes part;
    PyObject *scratch = PyDict_New();
    bool done = scratch != NULL;
    while (done && in.at < in.end) {
        if (!(done = read_tag(&in, &tag)))
            break;
        switch (tag) {
        case TAG(1, LENGTH): case TAG(2, LENGTH): done = skip_text(&in); break;
        case TAG(3, LENGTH):
            done = read_length(&in, &part) && read_attribute(wanted, part, scratch);
            break;
        case TAG(4, VARINT): done = skip_varint(&in); break;
        default: done = false;
        }
    }
    Py_XDECREF(scratch);
    return done;
}

/* What is found, and the number from which on the message is too large to be read further. */
typedef struct {
    PyObject *list;
    Py_ssize_t most;
    bool logs;
} Found;

static bool read_scope(Wanted *wanted, Bytes in, PyObject *common, const Found *found)
{
    uint64_t tag;
    Bytes part;
    bool has_scope = false;
    while (in.at < in.end) {
        bool done = read_tag(&in, &tag) && read_length(&in, &part);
        if (!done)
            return false;
        switch (tag) {
        case TAG(1, LENGTH):
            done = !has_scope && skip_scope(wanted, part);
            has_scope = true;
            break;
        case TAG(2, LENGTH):
            done = PyList_Size(found->list) < found->most
                   && read_entry(wanted, part, found->logs, common, found->list);
            break;
        case TAG(3, LENGTH): done = is_utf8(part); break;
        default: done = false;
        }
        if (!done)
            return false;
    }
    return true;
}

/* Reads a ResourceSpans or ResourceLogs. Its resource must be in front of its entries. */
static bool read_group(Wanted *wanted, Bytes in, const Found *found)
{
    uint64_t tag;
    Bytes part;
    bool has_resource = false, has_scopes = false;
    PyObject *common = PyDict_New();
    bool done = common != NULL;
    while (done && in.at < in.end) {
        if (!(done = read_tag(&in, &tag) && read_length(&in, &part)))
            break;
        switch (tag) {
        case TAG(1, LENGTH):
            done = !has_resource && !has_scopes && read_resource(wanted, part, common);
            has_resource = true;
            break;
        case TAG(2, LENGTH):
            has_scopes = true;
            done = read_scope(wanted, part, common, found);
            break;
        case TAG(3, LENGTH): done = is_utf8(part); break;
        default: done = false;
        }
    }
    Py_XDECREF(common);
    return done;
}

PyDoc_STRVAR(read_doc,
"read(wanted, payload, logs, most, /)\n--\n\n"
"Return the spans of a message as tuples, or its log records; None if the official library has to\n"
"read it. If there are more than `most`, only these are returned.\n\n"
"wanted: of the function `wanted`. Tuples have the fields of the named tuples `Span`, with tuples\n"
"for its events, and `LogRecord`. Attributes that make a usual call are its native record.");

static PyObject *read_message(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *capsule;
    const char *payload;
    Py_ssize_t size;
    int logs;
    Found found;
    if (!PyArg_ParseTuple(args, "Oy#pn:read", &capsule, &payload, &size, &logs, &found.most))
        return NULL;
    Wanted *wanted = PyCapsule_GetPointer(capsule, CAPSULE);
    if (wanted == NULL || (found.list = PyList_New(0)) == NULL)
        return NULL;
    found.logs = logs;
    Bytes in = {(Place)payload, (Place)payload + size}, part;
    uint64_t tag;
    bool done = true;
    while (done && in.at < in.end)
        done = read_tag(&in, &tag) && tag == TAG(1, LENGTH) && read_length(&in, &part)
               && read_group(wanted, part, &found);
    if (done || (!PyErr_Occurred() && PyList_Size(found.list) >= found.most))
        return found.list;
    Py_DECREF(found.list);
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        return NULL;
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* --- OTLP in JSON -------------------------------------------------------------------------- */

/* Usual calls in JSON become native records as well: values of attributes are written as they are in
   protobuf. Other spans are returned as their JSON, and whole messages are left to the decoder in
   Python if they are not surely valid for it, too. */

/* Memory for the values of one span. */
typedef struct {
    uint8_t *at, *end;
    bool ok;
} Arena;

static void add(Arena *arena, uint64_t byte)
{
    if (arena->at < arena->end)
        *arena->at++ = (uint8_t)byte;
    else
        arena->ok = false;
}

static void add_varint(Arena *arena, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        add(arena, (value & 0x7f) | 0x80);
    add(arena, value);
}

static void add_character(Arena *arena, uint32_t c)
{
    if (c < 0x80) {
        add(arena, c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    add(arena, (more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0) | c >> (6 * more));
    while (more-- > 0)
        add(arena, 0x80 | (c >> (6 * more) & 0x3f));
}

/* Adds a text without the escapes of JSON, which are valid: see `read_string`. */
static void add_unescaped(Arena *arena, Bytes text)
{
    static const char NAMES[] = "\"\\/bfnrt", CHARACTERS[] = "\"\\/\b\f\n\r\t";
    Place p = text.at;
    while (p < text.end) {
        Place next = memchr(p, '\\', (size_t)(text.end - p));
        size_t run = (size_t)((next != NULL ? next : text.end) - p);
        if ((size_t)(arena->end - arena->at) < run) {
            arena->ok = false;
            return;
        }
        memcpy(arena->at, p, run);
        arena->at += run;
        if (next == NULL)
            return;
        p = next + 2;
        if (next[1] != 'u') {
            add(arena, (uint8_t)CHARACTERS[strchr(NAMES, next[1]) - NAMES]);
            continue;
        }
        uint32_t c = (uint32_t)unit_at(p, text.end);
        p += 4;
        if (c >= 0xd800 && c < 0xdc00) {
            c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)unit_at(p + 2, text.end) - 0xdc00);
            p += 6;
        }
        add_character(arena, c);
    }
}

/* Adds a text as a field 1, the length of which takes five bytes. */
static void add_text(Arena *arena, Bytes text)
{
    add(arena, TAG(1, LENGTH));
    uint8_t *length = arena->at;
    for (int i = 0; i < 5; i++)
        add(arena, 0);
    add_unescaped(arena, text);
    if (!arena->ok)
        return;
    uint64_t size = (uint64_t)(arena->at - length - 5);
    for (int i = 0; i < 5; i++)
        length[i] = (uint8_t)((size >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0));
}

/* Reads a whole number that is not negative, which may be a text. */
static bool read_natural(Bytes *in, uint64_t *value)
{
    bool quoted = accept(in, '"');
    Place start = in->at;
    *value = 0;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        *value = *value * 10 + (uint64_t)(*in->at++ - '0');
    Py_ssize_t digits = in->at - start;
    if (digits == 0 || digits > 19 || (digits > 1 && *start == '0'))
        return false;
    if (quoted)
        return accept(in, '"');
    return in->at == in->end || (*in->at != '.' && (*in->at | 0x20) != 'e');
}

/* Reads a number with a fraction. */
static bool read_double(Bytes *in, uint64_t *bits)
{
    char text[40];
    skip_blanks(in);
    Place start = in->at;
    if (!skip_number(in) || in->at - start >= (Py_ssize_t)sizeof text)
        return false;
    memcpy(text, start, (size_t)(in->at - start));
    text[in->at - start] = 0;
    double value = PyOS_string_to_double(text, NULL, NULL);
    memcpy(bits, &value, sizeof value);
    return !PyErr_Occurred();
}

/* Reads {"values": [{"stringValue": "..."}]}. */
static bool read_texts(Bytes *in, Arena *arena)
{
    Bytes key, text;
    add(arena, TAG(5, LENGTH));
    uint8_t *length = arena->at;
    add(arena, 0);
    if (!accept(in, '{') || !read_key(in, &key) || !is_key(key, "values") || !accept(in, '['))
        return false;
    if (!accept(in, ']')) {
        do {
            add(arena, TAG(1, LENGTH));
            uint8_t *inner = arena->at;
            add(arena, 0);
            if (!accept(in, '{') || !read_key(in, &key) || !is_key(key, "stringValue")
                || !read_string(in, &text) || !accept(in, '}'))
                return false;
            add_text(arena, text);
            if (!arena->ok || arena->at - inner - 1 > 0x7f)
                return false;
            *inner = (uint8_t)(arena->at - inner - 1);
        } while (accept(in, ','));
        if (!accept(in, ']'))
            return false;
    }
    if (!arena->ok || arena->at - length - 1 > 0x7f)
        return false;
    *length = (uint8_t)(arena->at - length - 1);
    return accept(in, '}');
}

/* Reads an AnyValue with one field, and adds it as protobuf. */
static bool read_json_value(Bytes *in, Arena *arena)
{
    Bytes key, text;
    uint64_t number;
    if (!accept(in, '{') || !read_key(in, &key))
        return false;
    if (is_key(key, "stringValue")) {
        if (!read_string(in, &text))
            return false;
        add_text(arena, text);
    } else if (is_key(key, "intValue")) {
        if (!read_natural(in, &number))
            return false;
        add(arena, TAG(3, VARINT));
        add_varint(arena, number);
    } else if (is_key(key, "doubleValue")) {
        if (!read_double(in, &number))
            return false;
        add(arena, TAG(4, FIXED64));
        for (int i = 0; i < 8; i++)
            add(arena, number >> (8 * i) & 0xff);
    } else if (is_key(key, "boolValue")) {
        skip_blanks(in);
        bool value = skip_word(in, "true");
        if (!value && !skip_word(in, "false"))
            return false;
        add(arena, TAG(2, VARINT));
        add(arena, value);
    } else if (!is_key(key, "arrayValue") || !read_texts(in, arena))
        return false;
    return arena->ok && accept(in, '}');
}

/* Reads a KeyValue. `usual` becomes false if it is wanted, but not part of a usual call. */
static bool read_json_attribute(Wanted *wanted, Bytes *in, Arena *arena, Pairs *pairs, bool *usual)
{
    Bytes member, key = {in->at, in->at}, value = key;
    bool by_prefix, has_key = false, has_value = false;
    if (!accept(in, '{'))
        return false;
    do {
        if (!read_key(in, &member))
            return false;
        if (is_key(member, "key") && !has_key) {
            has_key = read_string(in, &key) && !is_escaped(key);
            if (!has_key)
                return false;
        } else if (is_key(member, "value") && !has_value) {
            skip_blanks(in);
            value.at = in->at;
            if (!skip_value(in, 0))
                return false;
            value.end = in->at;
            has_value = true;
        } else
            return false;
    } while (accept(in, ','));
    if (!accept(in, '}') || !has_key || !has_value)
        return false;
    Name *name = wanted_name(wanted, key, &by_prefix);
    if (name == NULL && !by_prefix)
        return true;
    if (name == NULL || name->code == 0 || pairs->n == MAX_PAIRS) {
        *usual = false;
        return true;
    }
    Bytes start = {arena->at, arena->at};
    if (*usual && read_json_value(&value, arena))
        pairs->pairs[pairs->n++] = (Pair){key, {start.at, arena->at}, name};
    else
        *usual = false;
    return true;
}

static bool read_json_attributes(Wanted *wanted, Bytes *in, Arena *arena, Pairs *pairs, bool *usual)
{
    if (!accept(in, '['))
        return false;
    if (accept(in, ']'))
        return true;
    do {
        if (!read_json_attribute(wanted, in, arena, pairs, usual))
            return false;
    } while (accept(in, ','));
    return accept(in, ']');
}

/* Reads a hexadecimal identifier in lower case into bytes of the arena. */
static bool read_json_id(Bytes *in, Py_ssize_t size, Arena *arena, Bytes *id)
{
    Bytes text;
    if (!read_string(in, &text))
        return false;
    id->at = arena->at;
    if (text.at < text.end) {
        if (text.end - text.at != 2 * size)
            return false;
        for (Place p = text.at; p < text.end; p += 2) {
            if (hex_value(p[0]) < 0 || hex_value(p[1]) < 0 || (p[0] >= 'A' && p[0] <= 'F')
                || (p[1] >= 'A' && p[1] <= 'F'))
                return false;
            add(arena, (uint64_t)(hex_value(p[0]) << 4 | hex_value(p[1])));
        }
    }
    id->end = arena->at;
    return arena->ok;
}

/* Reads a status. It is usual if it is no error. */
static bool read_json_status(Bytes *in, bool *usual)
{
    Bytes key, text;
    uint64_t code = 0;
    bool has_code = false, has_message = false;
    if (!accept(in, '{'))
        return false;
    if (accept(in, '}'))
        return true;
    do {
        if (!read_key(in, &key))
            return false;
        if (is_key(key, "code") && !has_code) {
            has_code = true;
            skip_blanks(in);
            if (in->at == in->end || *in->at == '"' || !read_natural(in, &code))
                return false;
        } else if (is_key(key, "message") && !has_message) {
            has_message = true;
            if (!read_string(in, &text))
                return false;
        } else
            return false;
    } while (accept(in, ','));
    if (code >= FAILED)
        *usual = false;
    return accept(in, '}');
}

/* Keys of a span that are read, and the others that the decoder in Python does not look at. */
enum { TRACE_ID, SPAN_ID, PARENT_ID, START, END, STATUS, ATTRIBUTES, EVENTS, SPAN_KEYS };
static const char *const SPAN_NAMES[SPAN_KEYS] = {
    "traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "status",
    "attributes", "events",
};

static bool read_json_span(Wanted *wanted, Bytes *in, Arena *arena, Entry *entry, bool *usual)
{
    Bytes key, start;
    bool seen[SPAN_KEYS] = {false};
    if (!accept(in, '{') || accept(in, '}'))
        return false;
    do {
        if (!read_key(in, &key))
            return false;
        int which = 0;
        while (which < SPAN_KEYS && !is_key(key, SPAN_NAMES[which]))
            which++;
        if (which < SPAN_KEYS && seen[which])
            return false;
        if (which < SPAN_KEYS)
            seen[which] = true;
        bool done = false;
        switch (which) {
        case TRACE_ID: done = read_json_id(in, TRACE_BYTES, arena, &entry->trace); break;
        case SPAN_ID: done = read_json_id(in, SPAN_BYTES, arena, &entry->span); break;
        case PARENT_ID: done = read_json_id(in, SPAN_BYTES, arena, &entry->parent); break;
        case START: done = read_natural(in, &entry->start); break;
        case END: done = read_natural(in, &entry->end); break;
        case STATUS: done = read_json_status(in, usual); break;
        case ATTRIBUTES:
            done = read_json_attributes(wanted, in, arena, entry->pairs, usual);
            break;
        case EVENTS:
            start = *in;
            done = accept(in, '[') && accept(in, ']');
            if (!done) {
                *in = start;
                *usual = false;
                done = skip_value(in, 0);
            }
            break;
        default: done = skip_value(in, 0);
        }
        if (!done)
            return false;
    } while (accept(in, ','));
    return accept(in, '}');
}

/* Appends a usual call as a tuple, or another span as its JSON. */
static bool append_json_span(Wanted *wanted, Bytes *in, Arena *arena, PyObject *found)
{
    Pairs pairs;
    pairs.n = 0;
    pairs.overflowed = false;
    skip_blanks(in);
    Bytes none = {in->at, in->at}, span = *in;
    Arena own = *arena;
    Entry entry = {none, none, none, none, 0, 0, 0, NULL, PyList_New(0), &pairs};
    bool usual = true, done = false;
    PyObject *record = NULL, *result = NULL;
    if (entry.events != NULL && read_json_span(wanted, in, &own, &entry, &usual)) {
        span.end = in->at;
        if (usual)
            record = native_record(wanted, &pairs, &entry, span);
        if (record != NULL)
            result = span_of(&entry, record);
        else if (!PyErr_Occurred())
            result = PyBytes_FromStringAndSize((const char *)span.at, span.end - span.at);
        done = result != NULL && PyList_Append(found, result) == 0;
    }
    Py_XDECREF(entry.events);
    Py_XDECREF(record);
    Py_XDECREF(result);
    return done;
}

/* Reads a list of objects by a function for each. */
typedef bool (*ReadItem)(Wanted *wanted, Bytes *in, Arena *arena, const Found *found);

static bool read_items(Wanted *wanted, Bytes *in, Arena *arena, const Found *found, ReadItem read)
{
    if (!accept(in, '['))
        return false;
    if (accept(in, ']'))
        return true;
    do {
        if (!read(wanted, in, arena, found))
            return false;
    } while (accept(in, ','));
    return accept(in, ']');
}

static bool read_json_item(Wanted *wanted, Bytes *in, Arena *arena, const Found *found)
{
    return PyList_Size(found->list) < found->most && append_json_span(wanted, in, arena, found->list);
}

static bool read_json_scope(Wanted *wanted, Bytes *in, Arena *arena, const Found *found)
{
    Bytes key;
    bool seen = false;
    if (!accept(in, '{'))
        return false;
    if (accept(in, '}'))
        return true;
    do {
        if (!read_key(in, &key) || (is_key(key, "spans") && seen))
            return false;
        if (is_key(key, "spans")) {
            seen = true;
            if (!read_items(wanted, in, arena, found, read_json_item))
                return false;
        } else if (!skip_value(in, 0))
            return false;
    } while (accept(in, ','));
    return accept(in, '}');
}

/* Reads a resource, none of whose attributes may be wanted. */
static bool read_json_resource(Wanted *wanted, Bytes *in, Arena *arena)
{
    Bytes key;
    Pairs pairs;
    pairs.n = 0;
    pairs.overflowed = false;
    bool usual = true, seen = false;
    Arena own = *arena;
    if (!accept(in, '{'))
        return false;
    if (accept(in, '}'))
        return true;
    do {
        if (!read_key(in, &key) || (is_key(key, "attributes") && seen))
            return false;
        if (is_key(key, "attributes")) {
            seen = true;
            if (!read_json_attributes(wanted, in, &own, &pairs, &usual) || !usual || pairs.n > 0)
                return false;
        } else if (!skip_value(in, 0))
            return false;
    } while (accept(in, ','));
    return accept(in, '}');
}

static bool read_json_group(Wanted *wanted, Bytes *in, Arena *arena, const Found *found)
{
    Bytes key;
    bool has_resource = false, has_scopes = false;
    if (!accept(in, '{'))
        return false;
    if (accept(in, '}'))
        return true;
    do {
        if (!read_key(in, &key))
            return false;
        bool done;
        if (is_key(key, "resource") && !has_resource)
            done = has_resource = read_json_resource(wanted, in, arena);
        else if (is_key(key, "scopeSpans") && !has_scopes)
            done = has_scopes = read_items(wanted, in, arena, found, read_json_scope);
        else
            done = !is_key(key, "resource") && !is_key(key, "scopeSpans") && skip_value(in, 0);
        if (!done)
            return false;
    } while (accept(in, ','));
    return accept(in, '}');
}

static bool read_json(Wanted *wanted, Bytes in, Arena *arena, const Found *found)
{
    Bytes key;
    return is_utf8(in) && accept(&in, '{') && read_key(&in, &key) && is_key(key, "resourceSpans")
           && read_items(wanted, &in, arena, found, read_json_group) && accept(&in, '}')
           && is_end_of_json(&in);
}

PyDoc_STRVAR(read_json_doc,
"read_json(wanted, payload, most, /)\n--\n\n"
"Return the spans of a message in JSON: usual calls as tuples like those of `read`, with native\n"
"records, and others as their JSON. Returns None if the message has to be decoded otherwise. If there\n"
"are more than `most`, only these are returned.");

static PyObject *read_json_message(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *capsule;
    const char *payload;
    Py_ssize_t size;
    Found found = {NULL, 0, false};
    if (!PyArg_ParseTuple(args, "Oy#n:read_json", &capsule, &payload, &size, &found.most))
        return NULL;
    Wanted *wanted = PyCapsule_GetPointer(capsule, CAPSULE);
    if (wanted == NULL)
        return NULL;
    uint8_t *memory = PyMem_Malloc((size_t)size + SPARE_BYTES);
    if (memory == NULL)
        return PyErr_NoMemory();
    Arena arena = {memory, memory + size + SPARE_BYTES, true};
    found.list = PyList_New(0);
    bool done = found.list != NULL
                && read_json(wanted, (Bytes){(Place)payload, (Place)payload + size}, &arena, &found);
    PyMem_Free(memory);
    if (done || (found.list != NULL && !PyErr_Occurred() && PyList_Size(found.list) >= found.most))
        return found.list;
    Py_XDECREF(found.list);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"wanted", wanted_of, METH_VARARGS, wanted_doc},
    {"read", read_message, METH_VARARGS, read_doc},
    {"read_json", read_json_message, METH_VARARGS, read_json_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot MODULE_SLOTS[] = {{0, NULL}};

static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "monitor.ingest.decode.formats.otlp.reading._wire",
    .m_doc = "Reads the wanted attributes of OTLP in protobuf.",
    .m_methods = METHODS,
    .m_slots = MODULE_SLOTS,
};

PyMODINIT_FUNC PyInit__wire(void)
{
    return PyModuleDef_Init(&MODULE);
}
