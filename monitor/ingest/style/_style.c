/* Counts what the style of a text consists of: marks, layout, words and phrases.

   One pass over the UTF-8 bytes of each text. A row of the result has a count for each COLUMN,
   followed by one for each group of words. The words are given as a table (`table.py`), so that a
   language needs no change here. `counts.py` has the same rules in Python; a test compares both.

   Every read is bounded by the end of the text, every column of the table is checked before a text
   is read, and nothing is allocated for a text. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef const uint8_t *Place;

enum {
    CHARS, WORDS, LETTERS, UPPER, DIGITS, LINES, PARAGRAPHS, SENTENCES, BOLD, HEADINGS, BULLETS,
    NUMBERED, FENCES, TICKS, TABLES, LINKS, EXCLAMATIONS, QUESTIONS, COLONS, SEMICOLONS, COMMAS,
    PARENTHESES, QUOTES, DASHES, ELLIPSES, EMOJI, ACCENTED, CYRILLIC, CJK, OTHER_SCRIPT,
    COLON_LINES, CONTRACTIONS, LONG_WORDS, REPEATED, EQUALS, BACKSLASHES, BRACES, FIRST, LAST,
    COLUMNS
};

/* A slot of the table of words: key (0 if empty), column of its group, and whether a phrase may go
   on after it. A slot that is only the beginning of a phrase counts in a last column that is not
   returned, and so does a word that is not in the table: a branch would cost more. */
typedef struct {
    uint64_t key;
    int32_t group, goes_on;
} Slot;

/* Slots of a bucket, one line of the cache. A key is in the bucket of its hash or not at all. */
enum { BUCKET = 4 };

typedef struct {
    Slot *slots; /* a copy, so that it is aligned and does not change */
    uint64_t factor;
    int shift;
    int32_t groups;
} Table;

static const uint64_t PHRASE = 1ull << 62, OPENING = 1ull << 61, LONG_WORD = 1ull << 60;
static const uint64_t SPREAD = 0x9E3779B97F4A7C15ull;

enum { WORD_BITS = 5, MAX_LETTERS = 12, LONG_LETTERS = 9, OPENING_WORDS = 4, APOSTROPHE = 27,
       FOREIGN = 28, SEEN_BITS = 14 };

/* The state of a text. word: letters of the present word, 5 bits each; length: their number.
   before: keys of the two words before. opening, phrase: keys of the words so far, 0 if none. */
typedef struct {
    int32_t *row;
    const Table *table;
    uint64_t word, before[2], opening, phrase;
    int32_t length, apostrophes, since_sentence;
    uint64_t seen[1 << (SEEN_BITS - 6)];
} State;

static inline uint64_t next_key(uint64_t key, uint64_t word, uint64_t kind)
{
    uint64_t mixed = (key ^ word) * SPREAD;
    mixed ^= mixed >> 29;
    return (mixed & (OPENING - 1)) | kind;
}

/* Counts the group of a key, if it has one. Returns whether a phrase may go on after it. */
static inline bool count_group(const State *state, uint64_t key)
{
    const Slot *slot = state->table->slots + (key * state->table->factor >> state->table->shift) * BUCKET;
    int32_t group = state->table->groups, goes_on = 0;
    for (int i = 0; i < BUCKET; i++) {
        bool found = slot[i].key == key;
        group = found ? slot[i].group : group;
        goes_on = found ? slot[i].goes_on : goes_on;
    }
    state->row[COLUMNS + group]++;
    return goes_on;
}

static void end_word(State *state)
{
    int32_t length = state->length;
    if (length == 0)
        return;
    int32_t *row = state->row;
    uint64_t word = state->word;
    if (length > MAX_LETTERS)
        word |= LONG_WORD;
    bool goes_on = count_group(state, word);
    if (state->phrase) {
        state->phrase = next_key(state->phrase, word, PHRASE);
        if (!count_group(state, state->phrase))
            state->phrase = 0;
    }
    if (!state->phrase && goes_on)
        state->phrase = next_key(0, word, PHRASE);
    if (row[WORDS] < OPENING_WORDS) {
        state->opening = next_key(state->opening, word, OPENING);
        count_group(state, state->opening);
    }
    row[WORDS]++;
    row[LETTERS] += length;
    row[LONG_WORDS] += length >= LONG_LETTERS;
    row[CONTRACTIONS] += state->apostrophes > 0;
    if (row[WORDS] > 2) {
        uint64_t three = next_key(next_key(state->before[0], state->before[1], 0), word, 0) * SPREAD;
        uint32_t bit = (uint32_t)(three >> (64 - SEEN_BITS));
        row[REPEATED] += (int32_t)(state->seen[bit >> 6] >> (bit & 63) & 1);
        state->seen[bit >> 6] |= 1ull << (bit & 63);
    }
    state->before[0] = state->before[1];
    state->before[1] = word;
    state->word = 0;
    state->length = state->apostrophes = 0;
    state->since_sentence++;
}

static void end_sentence(State *state)
{
    if (state->since_sentence > 0)
        state->row[SENTENCES]++;
    state->since_sentence = 0;
}

static inline bool is_ascii_letter(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

static inline bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline bool starts(Place p, Place end, const char *with, size_t length)
{
    return (size_t)(end - p) >= length && memcmp(p, with, length) == 0;
}

/* Counts a line by its first characters. p: its first character that is not blank. */
static void begin_line(int32_t *row, Place p, Place end, bool after_blank)
{
    if (row[LINES] == 0)
        row[FIRST] = *p;
    row[LINES]++;
    row[PARAGRAPHS] += after_blank;
    if (*p == '#')
        row[HEADINGS]++;
    else if (*p == '|')
        row[TABLES]++;
    else if (((*p == '-' || *p == '*' || *p == '+') && end - p > 1 && p[1] == ' ')
             || starts(p, end, "\xe2\x80\xa2", 3))
        row[BULLETS]++;
    else if (starts(p, end, "```", 3))
        row[FENCES]++;
    else if (is_digit(*p)) {
        while (p < end && is_digit(*p))
            p++;
        if (end - p > 1 && (*p == '.' || *p == ')') && p[1] == ' ')
            row[NUMBERED]++;
    }
}

/* Reads the character at p; returns its length. An invalid byte is the replacement character. */
static int read_character(Place p, Place end, uint32_t *character)
{
    uint8_t c = *p;
    int length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    *character = length == 1 ? c : (uint32_t)c & (0x7fu >> length);
    if (length == 0 || end - p < length) {
        *character = 0xfffd;
        return 1;
    }
    for (int i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *character = 0xfffd;
            return 1;
        }
        *character = *character << 6 | (p[i] & 0x3f);
    }
    return length;
}

static inline bool is_foreign_letter(uint32_t c)
{
    return c >= 0xc0 && c < 0x2000 && c != 0xd7 && c != 0xf7;
}

static void count_foreign(int32_t *row, uint32_t c)
{
    if (c >= 0xc0 && c < 0x250)
        row[ACCENTED] += is_foreign_letter(c);
    else if (c >= 0x400 && c < 0x530)
        row[CYRILLIC]++;
    else if ((c >= 0x3040 && c < 0x3100) || (c >= 0x3400 && c < 0xa000) || (c >= 0xac00 && c < 0xd7b0))
        row[CJK]++;
    else if (c >= 0x370 && c < 0x2000)
        row[OTHER_SCRIPT]++;
    else if (c == 0x2014)
        row[DASHES]++;
    else if (c == 0x201c || c == 0x201d || c == 0xab || c == 0xbb)
        row[QUOTES]++;
    else if (c == 0x2026)
        row[ELLIPSES]++;
    else if ((c >= 0x1f300 && c < 0x1fb00) || (c >= 0x2600 && c < 0x27c0) || c == 0x2b50)
        row[EMOJI]++;
}

/* Counts an ASCII mark at p and returns how many bytes belong to it. */
static int read_mark(State *state, Place p, Place end)
{
    int32_t *row = state->row;
    Place next = p + 1;
    switch (*p) {
    case '*':
        if (next < end && *next == '*') {
            row[BOLD]++;
            return 2;
        }
        break;
    case '.':
        if (starts(p, end, "...", 3)) {
            row[ELLIPSES]++;
            return 3;
        }
        if (next == end || is_blank(*next))
            end_sentence(state);
        break;
    case '!': row[EXCLAMATIONS]++; end_sentence(state); break;
    case '?': row[QUESTIONS]++; end_sentence(state); break;
    case ':':
        row[COLONS]++;
        if (next == end || *next == '\n')
            row[COLON_LINES]++;
        else if (starts(next, end, "//", 2))
            row[LINKS]++;
        break;
    case ']': row[LINKS] += next < end && *next == '('; break;
    case ';': row[SEMICOLONS]++; break;
    case ',': row[COMMAS]++; break;
    case '(': row[PARENTHESES]++; break;
    case '"': row[QUOTES]++; break;
    case '`': row[TICKS]++; break;
    case '=': row[EQUALS]++; break;
    case '\\': row[BACKSLASHES]++; break;
    case '{': row[BRACES]++; break;
    default: row[DIGITS] += is_digit(*p); break;
    }
    return 1;
}

/* Returns whether an apostrophe, before `next`, is within a word. */
static inline bool within_word(const State *state, Place next, Place end)
{
    return state->length > 0 && next < end && is_ascii_letter(*next);
}

/* Adds `letters` letters to the word; codes: 5 bits each, the first one lowest. */
static inline void add_letters(State *state, uint64_t codes, int32_t letters)
{
    if (state->length < MAX_LETTERS)
        state->word |= codes << (WORD_BITS * state->length) & (LONG_WORD - 1);
    state->length += letters;
}

static const uint64_t BYTES = UINT64_MAX / 0xff; /* 1 in every byte */

/* Returns a number with the highest bit of each of 8 bytes that is not an ASCII letter. */
static inline uint64_t not_letters(uint64_t bytes)
{
    uint64_t lower = bytes | BYTES * 0x20, ascii = lower & BYTES * 0x7f;
    uint64_t from_a = ascii + BYTES * (0x80 - 'a'), beyond_z = ascii + BYTES * (0x7f - 'z');
    return (~from_a | beyond_z | bytes) & BYTES * 0x80;
}

/* Returns the low 5 bits of 8 bytes side by side. */
static inline uint64_t codes_of(uint64_t bytes)
{
    uint64_t x = bytes & BYTES * 0x1f;
    x = (x & 0x001f001f001f001f) | (x & 0x1f001f001f001f00) >> 3;
    x = (x & 0x000003ff000003ff) | (x & 0x03ff000003ff0000) >> 6;
    return (x & 0xfffff) | (x >> 32) << 20;
}

/* Reads the ASCII letters at p, most bytes of a text, and returns their end. */
static Place read_letters(State *state, Place p, Place end)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    while (end - p >= 8) {
        uint64_t bytes;
        memcpy(&bytes, p, sizeof bytes);
        uint64_t others = not_letters(bytes);
        int32_t letters = others ? __builtin_ctzll(others) >> 3 : 8;
        if (letters == 0)
            return p;
        uint64_t own = bytes & UINT64_MAX >> (64 - 8 * letters);
        state->row[UPPER] += letters - (int32_t)((own >> 5 & BYTES) * BYTES >> 56);
        add_letters(state, codes_of(own), letters);
        p += letters;
        if (letters < 8)
            return p;
    }
#endif
    for (; p < end && is_ascii_letter(*p); p++) {
        add_letters(state, *p & 31, 1);
        state->row[UPPER] += *p < 'a';
    }
    return p;
}

/* Reads a character that is neither blank nor an ASCII letter, and returns the end of what is read. */
static Place read_other(State *state, Place p, Place end)
{
    uint32_t character;
    int length = read_character(p, end, &character);
    if ((*p == '\'' || character == 0x2019) && within_word(state, p + length, end)) {
        add_letters(state, APOSTROPHE, 1);
        state->apostrophes++;
    } else if (is_foreign_letter(character)) {
        count_foreign(state->row, character);
        add_letters(state, FOREIGN, 1);
    } else {
        end_word(state);
        if (*p < 0x80)
            return p + read_mark(state, p, end);
        count_foreign(state->row, character);
    }
    return p + length;
}

/* Returns the number of characters: bytes that do not continue one. */
static int32_t count_characters(Place p, Place end)
{
    int32_t chars = 0;
    for (; p < end; p++)
        chars += (*p & 0xc0) != 0x80;
    return chars;
}

static void scan_text(State *state, Place start, Place end)
{
    bool line_start = true, after_blank = true;
    Place last = NULL;
    for (Place p = start; p < end;) {
        if (is_blank(*p)) {
            end_word(state);
            if (*p == '\n') {
                end_sentence(state);
                after_blank = line_start;
                line_start = true;
            }
            p++;
            continue;
        }
        if (line_start) {
            begin_line(state->row, p, end, after_blank);
            line_start = after_blank = false;
        }
        last = p;
        if (is_ascii_letter(*p)) {
            p = read_letters(state, p, end);
            last = p - 1;
        } else
            p = read_other(state, p, end);
    }
    end_word(state);
    end_sentence(state);
    state->row[CHARS] = count_characters(start, end);
    if (last != NULL) {
        uint32_t character;
        read_character(last, end, &character);
        state->row[LAST] = (int32_t)character;
    }
}

/* Reads a table: the factor of its hash, then a power of two of buckets. Returns false, with an error
   set, if it is not one. The caller frees `slots`. */
static bool read_table(Table *table, const char *bytes, Py_ssize_t length, Py_ssize_t groups)
{
    size_t line = BUCKET * sizeof(Slot), size = length > 8 ? (size_t)length - 8 : 0;
    size_t buckets = size / line;
    int bits = 0;
    while (bits < 20 && (size_t)1 << bits < buckets)
        bits++;
    bool valid = bits > 0 && size == line << bits && groups >= 0 && groups <= 10000;
    if (valid && (table->slots = PyMem_Malloc(size)) == NULL) {
        PyErr_NoMemory();
        return false;
    }
    if (valid) {
        memcpy(&table->factor, bytes, 8);
        memcpy(table->slots, bytes + 8, size);
        table->shift = 64 - bits;
        table->groups = (int32_t)groups;
        for (size_t i = 0; i < buckets * BUCKET; i++)
            valid = valid && table->slots[i].group >= 0 && table->slots[i].group <= groups;
    }
    if (!valid)
        PyErr_SetString(PyExc_ValueError, "not a table of words");
    return valid;
}

/* Scans the texts; returns the rows as bytes. */
static PyObject *scan_all(PyObject *texts, const Table *table)
{
    Py_ssize_t n = PyTuple_Size(texts);
    size_t width = (size_t)(COLUMNS + table->groups);
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)((size_t)n * width * sizeof(int32_t)));
    State *state = result ? PyMem_Malloc(sizeof *state) : NULL;
    int32_t *row = state ? PyMem_Malloc((width + 1) * sizeof *row) : NULL;
    bool done = row != NULL;
    if (result && !done)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; done && i < n; i++) {
        char *bytes;
        Py_ssize_t length;
        done = PyBytes_AsStringAndSize(PyTuple_GetItem(texts, i), &bytes, &length) == 0;
        if (!done)
            break;
        memset(state, 0, sizeof *state);
        memset(row, 0, (width + 1) * sizeof *row);
        state->row = row;
        state->table = table;
        scan_text(state, (Place)bytes, (Place)bytes + length);
        memcpy(PyBytes_AsString(result) + (size_t)i * width * sizeof *row, row, width * sizeof *row);
    }
    PyMem_Free(row);
    PyMem_Free(state);
    if (!done)
        Py_CLEAR(result);
    return result;
}

PyDoc_STRVAR(scan_doc,
"scan(texts, table, groups, /)\n--\n\n"
"Count marks, layout and words of UTF-8 texts; a row of raw int32 for each.\n\n"
"texts: a sequence of bytes. table: slots of words, phrases and openings (`table.py`).\n"
"groups: number of groups, each of which is a column after the fixed ones.");

static PyObject *scan(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given, *result = NULL;
    const char *bytes;
    Py_ssize_t length, groups;
    Table table = {NULL, 0, 0, 0};
    if (!PyArg_ParseTuple(args, "Oy#n:scan", &given, &bytes, &length, &groups))
        return NULL;
    PyObject *texts = PySequence_Tuple(given);
    if (texts != NULL && read_table(&table, bytes, length, groups))
        result = scan_all(texts, &table);
    PyMem_Free(table.slots);
    Py_XDECREF(texts);
    return result;
}

static PyMethodDef METHODS[] = {
    {"scan", scan, METH_VARARGS, scan_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{0, NULL}};

static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "monitor.ingest.style._style",
    .m_doc = "Counts what the style of a text consists of.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__style(void)
{
    return PyModuleDef_Init(&MODULE);
}
