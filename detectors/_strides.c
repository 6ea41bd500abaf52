/* Loops over the records and strides of a window, which numpy has no function for.

   Each does exactly what its counterpart in `strides.py` does, operation by operation, so that both
   give the same bits: no sum is reordered, and products are not fused with sums. The shape of every
   array is checked before the loop. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

enum { MAX_ARRAYS = 8, LONG_WORK = 1 << 14 /* values from which on the GIL is released */ };

enum { ANY = PyBUF_STRIDES, DENSE = PyBUF_C_CONTIGUOUS, WRITTEN = PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE };

/* An argument: the size of its items, its number of axes, and how it is read or written. */
typedef struct {
    Py_ssize_t itemsize;
    int axes, flags;
} Kind;

typedef struct {
    Py_buffer buffers[MAX_ARRAYS];
    int count;
} Arrays;

static void release(Arrays *arrays)
{
    while (arrays->count > 0)
        PyBuffer_Release(&arrays->buffers[--arrays->count]);
}

static bool wrong_shape(void)
{
    PyErr_SetString(PyExc_ValueError, "arrays of other shapes");
    return false;
}

/* Gets the buffers of the first arguments. */
static bool get(PyObject *const *arguments, const Kind *kinds, int count, Arrays *arrays)
{
    for (int i = 0; i < count; i++) {
        Py_buffer *buffer = &arrays->buffers[i];
        if (PyObject_GetBuffer(arguments[i], buffer, kinds[i].flags) < 0)
            return false;
        arrays->count++;
        if (buffer->itemsize != kinds[i].itemsize || buffer->ndim != kinds[i].axes)
            return wrong_shape();
    }
    return true;
}

static inline Py_ssize_t size(const Py_buffer *buffer, int axis)
{
    return buffer->shape[axis];
}

static bool has_shape(const Py_buffer *buffer, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c)
{
    return size(buffer, 0) == a && size(buffer, 1) == b && (buffer->ndim < 3 || size(buffer, 2) == c);
}

/* --- the cells of records -------------------------------------------------------------------- */

/* Returns the number of cuts that are not above a value; all of them for NaN. Without a branch, as
   its outcome could not be predicted. */
static inline int64_t cell_of(const double *cuts, int64_t count, double value)
{
    int64_t below = 0;
    while (count > 1) {
        int64_t half = count / 2;
        below += half * !(value < cuts[below + half - 1]);
        count -= half;
    }
    return below + (count == 1 && !(value < cuts[below]));
}

typedef struct {
    const Py_buffer *values, *categories;
    const double *cuts;
    const int64_t *starts;
    Py_ssize_t width, stride;
    int64_t *indices;
    int32_t *counts;
} Cells;

/* Assigns the records of one stream, which is in a row of the arrays. Returns whether all cells
   exist. */
static bool assign_stream(const Cells *cells, Py_ssize_t row)
{
    Py_ssize_t numeric = size(cells->values, 0), streams = numeric + size(cells->categories, 0);
    Py_ssize_t n = size(cells->values, 1);
    bool of_values = row < numeric;
    const Py_buffer *from = of_values ? cells->values : cells->categories;
    const char *at = (const char *)from->buf + (of_values ? row : row - numeric) * from->strides[0];
    const double *cuts = of_values ? cells->cuts + cells->starts[row] : NULL;
    int64_t cut_count = of_values ? cells->starts[row + 1] - cells->starts[row] : 0;
    int64_t *out = cells->indices + row * n;
    int32_t *counts = cells->counts + row * cells->width;
    for (Py_ssize_t i = 0; i < n; counts += streams * cells->width)
        for (Py_ssize_t end = i + cells->stride; i < end; i++, at += from->strides[1]) {
            int64_t cell;
            if (of_values) {
                double value = *(const double *)(const void *)at;
                cell = cell_of(cuts, cut_count, value) + (value != value);
            } else {
                cell = *(const uint8_t *)at;
            }
            if (cell >= cells->width)
                return false;
            out[i] = row * cells->width + cell;
            counts[cell]++;
        }
    return true;
}

static bool assign_all(const Cells *cells)
{
    Py_ssize_t streams = size(cells->values, 0) + size(cells->categories, 0);
    for (Py_ssize_t row = 0; row < streams; row++)
        if (!assign_stream(cells, row))
            return false;
    return true;
}

static bool starts_are_valid(const int64_t *starts, Py_ssize_t rows, Py_ssize_t cuts)
{
    if (starts[0] != 0 || starts[rows] != cuts)
        return false;
    for (Py_ssize_t row = 0; row < rows; row++)
        if (starts[row] > starts[row + 1])
            return false;
    return true;
}

PyDoc_STRVAR(assign_cells_doc,
"assign_cells(values, categories, cuts, starts, indices, counts, /)\n--\n\n"
"Write the cells of m * stride records to `indices`, and count them by stride.\n\n"
"values: float64, (F, m * stride). categories: uint8, (C, m * stride). cuts: float64, of all numeric\n"
"streams; starts: int64, (F + 1,), where those of each begin. indices: int64, (F + C, m * stride), of\n"
"a raveled (F + C, G). counts: int32, (m, F + C, G), zeros.");

static PyObject *assign_cells(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given[6];
    static const Kind KINDS[] = {{8, 2, ANY},   {1, 2, ANY},     {8, 1, DENSE},
                                 {8, 1, DENSE}, {8, 2, WRITTEN}, {4, 3, WRITTEN}};
    Arrays arrays = {.count = 0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "OOOOOO:assign_cells", &given[0], &given[1], &given[2], &given[3],
                          &given[4], &given[5]))
        return NULL;
    if (!get(given, KINDS, 6, &arrays))
        goto done;
    Py_buffer *b = arrays.buffers;
    Py_ssize_t numeric = size(&b[0], 0), streams = numeric + size(&b[1], 0), n = size(&b[0], 1);
    Py_ssize_t strides = size(&b[5], 0);
    if (size(&b[1], 1) != n || size(&b[3], 0) != numeric + 1 || !has_shape(&b[4], streams, n, 0)
        || size(&b[5], 1) != streams || (strides == 0 ? n != 0 : n % strides != 0)
        || !starts_are_valid(b[3].buf, numeric, size(&b[2], 0))) {
        wrong_shape();
        goto done;
    }
    Cells cells = {&b[0], &b[1], b[2].buf, b[3].buf, size(&b[5], 2), strides ? n / strides : 0,
                   b[4].buf, b[5].buf};
    bool valid;
    if (n * streams < LONG_WORK) {
        valid = assign_all(&cells);
    } else {
        Py_BEGIN_ALLOW_THREADS
        valid = assign_all(&cells);
        Py_END_ALLOW_THREADS
    }
    if (valid)
        result = Py_NewRef(Py_None);
    else
        wrong_shape();
done:
    release(&arrays);
    return result;
}

/* --- the bets of the e-detector --------------------------------------------------------------- */

PyDoc_STRVAR(update_cusums_doc,
"update_cusums(log_payoffs, error, number, largest, highest, cusums, since, /)\n--\n\n"
"Correct the log payoffs of m strides for the error of the reference, and add them to the CUSUMs.\n\n"
"log_payoffs: float64, (S, m, K); replaced by the corrected ones. error: float64, (S, K). number: of\n"
"the first stride. largest: correction in errors. highest: CUSUM. cusums: float64, and since: int64,\n"
"(S, 1 + m, K): the first of the m + 1 are those before, the others are written.");

static PyObject *update_cusums(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given[4];
    static const Kind KINDS[] = {{8, 3, WRITTEN}, {8, 2, DENSE}, {8, 3, WRITTEN}, {8, 3, WRITTEN}};
    Arrays arrays = {.count = 0};
    PyObject *result = NULL;
    Py_ssize_t number;
    double largest, highest;
    if (!PyArg_ParseTuple(args, "OOnddOO:update_cusums", &given[0], &given[1], &number, &largest,
                          &highest, &given[2], &given[3]))
        return NULL;
    if (!get(given, KINDS, 4, &arrays))
        goto done;
    Py_buffer *b = arrays.buffers;
    Py_ssize_t streams = size(&b[0], 0), strides = size(&b[0], 1), bets = size(&b[0], 2);
    if (!has_shape(&b[1], streams, bets, 0) || !has_shape(&b[2], streams, strides + 1, bets)
        || !has_shape(&b[3], streams, strides + 1, bets)) {
        wrong_shape();
        goto done;
    }
    double *log_payoff = b[0].buf, *cusum = b[2].buf;
    const double *error = b[1].buf;
    int64_t *since = b[3].buf;
    for (Py_ssize_t stream = 0; stream < streams; stream++, error += bets) {
        for (Py_ssize_t at = 0; at < strides; at++) {
            double position = (double)(number + at) - 0.5;
            for (Py_ssize_t k = 0; k < bets; k++) {
                int64_t start = cusum[k] <= 0 ? number + at - 1 : since[k];
                since[bets + k] = start;
                /* for a run of r strides: r^2 - (r - 1)^2, times 1.5 */
                double correction = (position - (double)start) * (3 * error[k]);
                correction = correction < largest ? correction : largest;
                correction *= error[k];
                log_payoff[k] -= correction;
                double sum = cusum[k] + log_payoff[k];
                sum = sum > 0 ? sum : 0;
                cusum[bets + k] = sum < highest ? sum : highest;
            }
            log_payoff += bets, cusum += bets, since += bets;
        }
        cusum += bets, since += bets;
    }
    result = Py_NewRef(Py_None);
done:
    release(&arrays);
    return result;
}

PyDoc_STRVAR(grow_wealth_doc,
"grow_wealth(payoffs, largest, wealth, /)\n--\n\n"
"Multiply the wealth and a new stake of 1 by the payoffs of m strides.\n\n"
"payoffs: float64, (S, m, K). largest: float64, (S, K). wealth: float64, (S, 1 + m, K): the first of\n"
"the m + 1 is that before, the others are written.");

static PyObject *grow_wealth(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given[3];
    static const Kind KINDS[] = {{8, 3, DENSE}, {8, 2, DENSE}, {8, 3, WRITTEN}};
    Arrays arrays = {.count = 0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "OOO:grow_wealth", &given[0], &given[1], &given[2]))
        return NULL;
    if (!get(given, KINDS, 3, &arrays))
        goto done;
    Py_buffer *b = arrays.buffers;
    Py_ssize_t streams = size(&b[0], 0), strides = size(&b[0], 1), bets = size(&b[0], 2);
    if (!has_shape(&b[1], streams, bets, 0) || !has_shape(&b[2], streams, strides + 1, bets)) {
        wrong_shape();
        goto done;
    }
    const double *payoff = b[0].buf, *largest = b[1].buf;
    double *wealth = b[2].buf;
    for (Py_ssize_t stream = 0; stream < streams; stream++, largest += bets) {
        for (Py_ssize_t at = 0; at < strides; at++, payoff += bets, wealth += bets)
            for (Py_ssize_t k = 0; k < bets; k++) {
                double grown = (wealth[k] + 1) * payoff[k];
                wealth[bets + k] = grown < largest[k] ? grown : largest[k];
            }
        wealth += bets;
    }
    result = Py_NewRef(Py_None);
done:
    release(&arrays);
    return result;
}

/* --- the sums of Page-Hinkley ----------------------------------------------------------------- */

/* Adds a stride to the sums of all streams; those of a stream that reaches a threshold restart. */
static void add_stride(const double *step, const double *threshold, Py_ssize_t streams, double *sums,
                       double *peak, uint8_t *found)
{
    for (Py_ssize_t i = 0; i < 2 * streams; i++) {
        double sum = sums[i] + step[i];
        peak[i] = sum > 0 ? sum : 0;
        if (peak[i] >= threshold[i])
            found[i % streams] = 1;
    }
    for (Py_ssize_t i = 0; i < 2 * streams; i++)
        sums[i] = found[i % streams] ? 0 : peak[i];
}

PyDoc_STRVAR(update_sums_doc,
"update_sums(steps, thresholds, sums, peaks, found, /)\n--\n\n"
"Add the steps of m strides to both sums of each stream, which restart at a threshold.\n\n"
"steps: float64, (m, 2, F). thresholds, sums: float64, (2, F); the sums are replaced. peaks: float64,\n"
"(m, 2, F), before a restart, and found: bool, (m, F), zeros; both are written.");

static PyObject *update_sums(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given[5];
    static const Kind KINDS[] = {{8, 3, DENSE}, {8, 2, DENSE}, {8, 2, WRITTEN},
                                 {8, 3, WRITTEN}, {1, 2, WRITTEN}};
    Arrays arrays = {.count = 0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "OOOOO:update_sums", &given[0], &given[1], &given[2], &given[3],
                          &given[4]))
        return NULL;
    if (!get(given, KINDS, 5, &arrays))
        goto done;
    Py_buffer *b = arrays.buffers;
    Py_ssize_t strides = size(&b[0], 0), streams = size(&b[0], 2);
    if (size(&b[0], 1) != 2 || !has_shape(&b[1], 2, streams, 0) || !has_shape(&b[2], 2, streams, 0)
        || !has_shape(&b[3], strides, 2, streams) || !has_shape(&b[4], strides, streams, 0)) {
        wrong_shape();
        goto done;
    }
    for (Py_ssize_t at = 0; at < strides; at++)
        add_stride((const double *)b[0].buf + at * 2 * streams, b[1].buf, streams, b[2].buf,
                   (double *)b[3].buf + at * 2 * streams, (uint8_t *)b[4].buf + at * streams);
    result = Py_NewRef(Py_None);
done:
    release(&arrays);
    return result;
}

static PyMethodDef METHODS[] = {
    {"assign_cells", assign_cells, METH_VARARGS, assign_cells_doc},
    {"update_cusums", update_cusums, METH_VARARGS, update_cusums_doc},
    {"grow_wealth", grow_wealth, METH_VARARGS, grow_wealth_doc},
    {"update_sums", update_sums, METH_VARARGS, update_sums_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{0, NULL}};

static struct PyModuleDef MODULE = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "detectors._strides",
    .m_doc = "Loops over the records and strides of a window.",
    .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__strides(void)
{
    return PyModuleDef_Init(&MODULE);
}
