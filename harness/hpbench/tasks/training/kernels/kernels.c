/* Whole epochs of one trial: forward, backward and update of every step, in one call.
 *
 * A network comes as a list of operations (see program.py) over values of shape
 * (examples, positions, stored), stored being the features rounded up to a multiple of 8 with zeros.
 * Offsets of values count floats for a whole batch; the gradient of a value lies at the same offset
 * of `grads`. Weights lie transposed, (inputs, stored outputs), so that every product runs along rows.
 *
 * Bits: every number is summed up in one order, whatever the batch is cut into, and nothing depends
 * on where memory lies, on other trials, or on threads. Not-a-numbers pass through.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16 /* floats of a register */
#define TALL 8   /* rows of a block, so that all sums stay in registers */
#else
#define LANES 8
#define TALL 6
#endif

typedef float wide __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t places8 __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

/* ---- Tiny numbers ----------------------------------------------------------------------------- */

/* Below the smallest normal number (1.2e-38) everything counts as zero while this library is at work: decaying
 * moments and dead units are full of such numbers, and many processors take a hundred times as long for each. */
#if defined(__x86_64__)
#include <xmmintrin.h>
typedef unsigned int mode;
static mode flush_tiny(void) {
    const mode before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* results and operands */
    return before;
}
static void restore(mode before) { _mm_setcsr(before); }
#elif defined(__aarch64__)
typedef uint64_t mode;
static void restore(mode before) { __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory"); }
static mode flush_tiny(void) {
    mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before) : : "memory");
    restore(before | (mode)1 << 24);
    return before;
}
#else
typedef int mode;
static mode flush_tiny(void) { return 0; }
static void restore(mode before) { (void)before; }
#endif

/* ---- Products --------------------------------------------------------------------------------- */

/* Where the left factor's numbers lie. By rows: row r begins at table[r], or at r * stride without a
 * table; its numbers come in `segments` runs of `length`, `skip` apart. By columns: the numbers of
 * column k begin at table[k], or at k * stride, one beside the other. */
typedef struct {
    const float *at;
    const int64_t *table;
    int64_t stride, segments, skip, length;
} factor;

INLINE const float *line(const factor *a, int64_t number) {
    return a->at + (a->table ? a->table[number] : number * a->stride);
}

/* Here, and nowhere else, a product and a sum are one operation where the processor has it: twice as quick, and there
 * is only one way to do it. */
#if defined(__clang__)
#pragma clang fp contract(fast)
#else
#pragma GCC push_options
#pragma GCC optimize("fp-contract=fast")
#endif

#define BLOCK(NAME, VECTOR, WIDTH, COUNT)                                                              \
    INLINE void rows_##NAME(const int tall, const factor *a, int64_t first, const float *b,            \
                            int64_t ldb, float *c, int64_t ldc, const float *bias) {                   \
        VECTOR sum[TALL][COUNT];                                                                       \
        const float *at[TALL];                                                                         \
        UNROLL for (int r = 0; r < tall; r++) {                                                        \
            at[r] = line(a, first + r);                                                                \
            UNROLL for (int j = 0; j < COUNT; j++) {                                                   \
                VECTOR start = {0};                                                                    \
                if (bias) start = *(const VECTOR *)(bias + j * WIDTH);                                 \
                sum[r][j] = start;                                                                     \
            }                                                                                          \
        }                                                                                              \
        for (int64_t s = 0; s < a->segments; s++) {                                                    \
            for (int64_t k = 0; k < a->length; k++, b += ldb) {                                        \
                VECTOR right[COUNT];                                                                   \
                UNROLL for (int j = 0; j < COUNT; j++) right[j] = *(const VECTOR *)(b + j * WIDTH);    \
                UNROLL for (int r = 0; r < tall; r++) {                                                \
                    const float left = at[r][k];                                                       \
                    UNROLL for (int j = 0; j < COUNT; j++) sum[r][j] += left * right[j];               \
                }                                                                                      \
            }                                                                                          \
            UNROLL for (int r = 0; r < tall; r++) at[r] += a->skip;                                    \
        }                                                                                              \
        UNROLL for (int r = 0; r < tall; r++) {                                                        \
            UNROLL for (int j = 0; j < COUNT; j++) *(VECTOR *)(c + r * ldc + j * WIDTH) = sum[r][j];   \
        }                                                                                              \
    }                                                                                                  \
    INLINE void columns_##NAME(const int tall, const factor *a, int64_t first, int64_t begin,          \
                               int64_t end, const float *b, int64_t ldb, float *c, int64_t ldc) {      \
        VECTOR sum[TALL][COUNT];                                                                       \
        UNROLL for (int r = 0; r < tall; r++) {                                                        \
            UNROLL for (int j = 0; j < COUNT; j++) {                                                   \
                VECTOR start = {0};                                                                    \
                if (begin) start = *(const VECTOR *)(c + r * ldc + j * WIDTH);                         \
                sum[r][j] = start;                                                                     \
            }                                                                                          \
        }                                                                                              \
        for (int64_t k = begin; k < end; k++) {                                                        \
            const float *at = line(a, k) + first;                                                      \
            VECTOR right[COUNT];                                                                       \
            UNROLL for (int j = 0; j < COUNT; j++) right[j] = *(const VECTOR *)(b + k * ldb + j * WIDTH); \
            UNROLL for (int r = 0; r < tall; r++) {                                                    \
                const float left = at[r];                                                              \
                UNROLL for (int j = 0; j < COUNT; j++) sum[r][j] += left * right[j];                   \
            }                                                                                          \
        }                                                                                              \
        UNROLL for (int r = 0; r < tall; r++) {                                                        \
            UNROLL for (int j = 0; j < COUNT; j++) *(VECTOR *)(c + r * ldc + j * WIDTH) = sum[r][j];   \
        }                                                                                              \
    }                                                                                                  \
    static void rows_of_##NAME(int64_t m, const factor *a, const float *b, int64_t ldb, float *c,      \
                               int64_t ldc, const float *bias) {                                       \
        int64_t r = 0;                                                                                 \
        for (; r + TALL <= m; r += TALL) rows_##NAME(TALL, a, r, b, ldb, c + r * ldc, ldc, bias); \
        if (r + 4 <= m) rows_##NAME(4, a, r, b, ldb, c + r * ldc, ldc, bias), r += 4;             \
        if (r + 2 <= m) rows_##NAME(2, a, r, b, ldb, c + r * ldc, ldc, bias), r += 2;             \
        if (r < m) rows_##NAME(1, a, r, b, ldb, c + r * ldc, ldc, bias);                          \
    }                                                                                                  \
    static void columns_of_##NAME(int64_t m, const factor *a, int64_t begin, int64_t end,              \
                                  const float *b, int64_t ldb, float *c, int64_t ldc) {                \
        int64_t r = 0;                                                                                 \
        for (; r + TALL <= m; r += TALL) columns_##NAME(TALL, a, r, begin, end, b, ldb, c + r * ldc, ldc); \
        if (r + 4 <= m) columns_##NAME(4, a, r, begin, end, b, ldb, c + r * ldc, ldc), r += 4;         \
        if (r + 2 <= m) columns_##NAME(2, a, r, begin, end, b, ldb, c + r * ldc, ldc), r += 2;         \
        if (r < m) columns_##NAME(1, a, r, begin, end, b, ldb, c + r * ldc, ldc);                      \
    }

BLOCK(double, wide, LANES, 2)
BLOCK(single, wide, LANES, 1)
BLOCK(eight, eight, 8, 1)

#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC pop_options
#endif

/* c (m, n) = bias + a b; b (k, n); n a multiple of 8. */
static void multiply_rows(int64_t m, int64_t n, const factor *a, const float *b, int64_t ldb, float *c,
                          int64_t ldc, const float *bias) {
    int64_t j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES) rows_of_double(m, a, b + j, ldb, c + j, ldc, bias ? bias + j : 0);
    for (; j + LANES <= n; j += LANES) rows_of_single(m, a, b + j, ldb, c + j, ldc, bias ? bias + j : 0);
    for (; j < n; j += 8) rows_of_eight(m, a, b + j, ldb, c + j, ldc, bias ? bias + j : 0);
}

enum { DEEP = 256 }; /* columns of the left factor that are taken at once, so that both stay in the cache */

/* c (m, n) = a b with a by columns, count of them; b (count, n). */
static void multiply_columns(int64_t m, int64_t n, const factor *a, int64_t count, const float *b,
                             int64_t ldb, float *c, int64_t ldc) {
    for (int64_t begin = 0; begin < count; begin += DEEP) {
        int64_t end = begin + DEEP < count ? begin + DEEP : count, j = 0;
        for (; j + 2 * LANES <= n; j += 2 * LANES) columns_of_double(m, a, begin, end, b + j, ldb, c + j, ldc);
        for (; j + LANES <= n; j += LANES) columns_of_single(m, a, begin, end, b + j, ldb, c + j, ldc);
        for (; j < n; j += 8) columns_of_eight(m, a, begin, end, b + j, ldb, c + j, ldc);
    }
}

#if defined(__clang__)
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define MIX(a, b, ...) __builtin_shuffle(a, b, (places8){__VA_ARGS__})
#endif

/* to (8 rows, `apart` apart) = the transpose of from. */
INLINE void transpose8(const float *from, int64_t ldf, float *to, int64_t apart) {
    eight r[8], s[8];
    UNROLL for (int i = 0; i < 8; i++) r[i] = *(const eight *)(from + i * ldf);
    UNROLL for (int i = 0; i < 8; i += 2) {
        s[i] = MIX(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        s[i + 1] = MIX(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        UNROLL for (int j = 0; j < 2; j++) {
            r[i + j] = MIX(s[i + j], s[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + 2 + j] = MIX(s[i + j], s[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    UNROLL for (int i = 0; i < 4; i++) {
        *(eight *)(to + i * apart) = MIX(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(eight *)(to + (i + 4) * apart) = MIX(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

/* to (n, m) = the transpose of from (m, n); both multiples of 8. */
static void transpose(const float *from, int64_t ldf, int64_t m, int64_t n, float *to, int64_t apart) {
    for (int64_t i = 0; i < m; i += 8) {
        for (int64_t j = 0; j < n; j += 8) transpose8(from + i * ldf + j, ldf, to + j * apart + i, apart);
    }
}

typedef int32_t eight_bits __attribute__((vector_size(32), aligned(4), may_alias));

/* The larger of two numbers; not-a-number is above all. */
INLINE eight larger(eight a, eight b) {
    const eight_bits choice = (b > a) | (b != b);
    return (eight)((choice & (eight_bits)b) | (~choice & (eight_bits)a));
}

/* 1 where two numbers are equal, 0 elsewhere. */
INLINE eight equal(eight a, eight b) {
    const eight one = {1, 1, 1, 1, 1, 1, 1, 1};
    return (eight)((a == b) & (eight_bits)one);
}

INLINE eight load8(const float *at) { return *(const eight *)at; }
INLINE void store8(float *at, eight value) { *(eight *)at = value; }

/* to (n) = the sum of the rows of from (rows, n); n a multiple of 8. */
static void sum_rows(const float *from, int64_t rows, int64_t n, float *to) {
    for (int64_t j = 0; j < n; j += 8) {
        eight sum = {0};
        for (int64_t r = 0; r < rows; r++) sum += *(const eight *)(from + r * n + j);
        *(eight *)(to + j) = sum;
    }
}

/* ---- Functions of one number ------------------------------------------------------------------ */

/* A rational function of degree 13 over 6, right to a few units in the last place (Eigen, ptanh). */
INLINE float hyperbolic_tangent(float x) {
    const float most = 7.90531110763549805f;
    float z = x > most ? most : x;
    z = z < -most ? -most : z;
    const float q = z * z;
    float top = -2.76076847742355e-16f;
    top = top * q + 2.00018790482477e-13f;
    top = top * q + -8.60467152213735e-11f;
    top = top * q + 5.12229709037114e-08f;
    top = top * q + 1.48572235717979e-05f;
    top = top * q + 6.37261928875436e-04f;
    top = top * q + 4.89352455891786e-03f;
    float bottom = 1.19825839466702e-06f;
    bottom = bottom * q + 1.18534705686654e-04f;
    bottom = bottom * q + 2.26843463243900e-03f;
    bottom = bottom * q + 4.89352518554385e-03f;
    return fabsf(x) < 0.0004f ? x : z * top / bottom;
}

INLINE float sigmoid(float x) { return 0.5f * (1.0f + hyperbolic_tangent(0.5f * x)); }

/* e to the x for x of at most 88, by a polynomial of degree 5 (Cephes, expf). */
INLINE float exponential(float x) {
    const float z = x < -87.0f ? -87.0f : x;
    const float n = rintf(z * 1.44269504088896341f);
    const float r = z - n * 0.693359375f + n * 2.12194440e-4f;
    float power = 1.9875691500e-4f;
    power = power * r + 1.3981999507e-3f;
    power = power * r + 8.3334519073e-3f;
    power = power * r + 4.1665795894e-2f;
    power = power * r + 1.6666665459e-1f;
    power = power * r + 5.0000001201e-1f;
    power = power * r * r + r + 1.0f;
    union { int32_t bits; float number; } scale;
    scale.bits = ((int32_t)n + 127) << 23;
    return power * scale.number;
}

enum { RELU, TANH, GELU, SILU };
static const float GELU_A = 0.7978845608028654f, GELU_B = 0.044715f * 0.7978845608028654f;

static void activate(int kind, const float *x, float *y, int64_t n) {
    switch (kind) {
    case RELU:
        for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i];
        break;
    case TANH:
        for (int64_t i = 0; i < n; i++) y[i] = hyperbolic_tangent(x[i]);
        break;
    case GELU:
        for (int64_t i = 0; i < n; i++) {
            const float t = hyperbolic_tangent(x[i] * (GELU_A + GELU_B * x[i] * x[i]));
            y[i] = 0.5f * x[i] * (1.0f + t);
        }
        break;
    default:
        for (int64_t i = 0; i < n; i++) y[i] = 0.5f * x[i] * (1.0f + hyperbolic_tangent(0.5f * x[i]));
    }
}

/* dx = dy times the slope at x; y is the activation of x. */
static void activate_back(int kind, const float *x, const float *y, const float *dy, float *dx, int64_t n) {
    switch (kind) {
    case RELU:
        for (int64_t i = 0; i < n; i++) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
        break;
    case TANH:
        for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * (1.0f - y[i] * y[i]);
        break;
    case GELU:
        for (int64_t i = 0; i < n; i++) {
            const float s = x[i] * x[i], t = hyperbolic_tangent(x[i] * (GELU_A + GELU_B * s));
            const float inner = GELU_A + 3.0f * GELU_B * s;
            dx[i] = dy[i] * (0.5f * (1.0f + t) + 0.5f * x[i] * (1.0f - t * t) * inner);
        }
        break;
    default:
        for (int64_t i = 0; i < n; i++) {
            const float t = hyperbolic_tangent(0.5f * x[i]);
            dx[i] = dy[i] * (0.5f * (1.0f + t) + 0.25f * x[i] * (1.0f - t * t));
        }
    }
}

/* layers.mix32 */
INLINE uint32_t mix32(uint32_t state) {
    state = (state ^ (state >> 16)) * 0x7FEB352Du;
    state = (state ^ (state >> 15)) * 0x846CA68Bu;
    return state ^ (state >> 16);
}

/* ---- Operations ------------------------------------------------------------------------------- */

enum { LINEAR, CONVOLUTION, ACTIVATION, DROPOUT, MAXPOOL, SUM, LAYERNORM, GROUPNORM, POSITIONS, ATTENTION, GRU, LAST, AVERAGE };

/* The same order as FIELDS in program.py. */
typedef struct {
    int64_t kind;
    int64_t x, y;             /* offsets of the values read and written */
    int64_t other;            /* offset of a second value read */
    int64_t positions;        /* of an example in x */
    int64_t in, out;          /* stored numbers of a position in x and in y */
    int64_t weight, bias;     /* offsets in a row of parameters; bias -1: none */
    int64_t height, width;    /* of x, a map */
    int64_t high, wide;       /* of y, a map */
    int64_t kernel, stride;   /* of a convolution */
    int64_t table, back;      /* offsets of its tables: where a pixel's window begins, forward and backward */
    int64_t scratch;          /* offset of what it keeps from forward to backward */
    int64_t which;            /* dropout layer, activation function, or number of heads */
    int64_t features;         /* true numbers of a position in y */
    int64_t hidden, inner;    /* offsets of further parameters of a recurrent layer */
    int64_t per_channel;      /* whether dropout drops whole maps */
    int64_t axes;             /* of an example in x, as torch has it */
    int64_t leaf;             /* whether what is read needs no gradient: the inputs, and what follows from them alone */
    int64_t add, add_other;   /* whether the gradient of x, of other, has a part already, from a later reader */
} operation;

/* Everything a pass over the operations touches. */
typedef struct {
    const operation *operations;
    int64_t count;
    const int64_t *tables;
    float *values, *grads, *scratch, *turned;
    const float *p;
    float *g;
    int64_t batch;
    float rate;
    const int32_t *seeds; /* NULL: evaluation */
} pass;

static void linear(const pass *s, const operation *o) {
    const factor a = {s->values + o->x, 0, o->in, 1, 0, o->in};
    multiply_rows(s->batch * o->positions, o->out, &a, s->p + o->weight, o->out, s->values + o->y, o->out,
                  o->bias < 0 ? 0 : s->p + o->bias);
}

static void linear_back(const pass *s, const operation *o, float *dx) {
    const int64_t rows = s->batch * o->positions;
    const float *dy = s->grads + o->y;
    const factor a = {s->values + o->x, 0, o->in, 1, 0, o->in};
    multiply_columns(o->in, o->out, &a, rows, dy, o->out, s->g + o->weight, o->out);
    if (o->bias >= 0) sum_rows(dy, rows, o->out, s->g + o->bias);
    if (o->leaf) return;
    const factor d = {dy, 0, o->out, 1, 0, o->out};
    transpose(s->p + o->weight, o->out, o->in, o->out, s->turned, o->in);
    multiply_rows(rows, o->in, &d, s->turned, o->in, dx, o->in, 0);
}

/* Copy maps (batch, high, wide, n) into maps with a border of zeros, (batch, tall + 2 border, ...), the
 * pixels `stride` apart. */
static void frame(const float *from, int64_t batch, int64_t high, int64_t wide, int64_t n, float *to,
                  int64_t tall, int64_t broad, int64_t border, int64_t stride) {
    const int64_t row = (broad + 2 * border) * n;
    for (int64_t b = 0; b < batch; b++) {
        float *map = to + b * (tall + 2 * border) * row + border * row + border * n;
        for (int64_t i = 0; i < high; i++) {
            if (stride == 1) {
                memcpy(map + i * row, from, wide * n * sizeof *to);
                from += wide * n;
                continue;
            }
            for (int64_t j = 0; j < wide; j++, from += n) memcpy(map + i * stride * row + j * stride * n, from, n * sizeof *to);
        }
    }
}

static int64_t framed(const pass *s, const operation *o, int64_t n) {
    const int64_t border = 2 * (o->kernel / 2);
    return s->batch * (o->height + border) * (o->width + border) * n;
}

static void convolution(const pass *s, const operation *o) {
    float *x = s->scratch + o->scratch;
    const int64_t border = o->kernel / 2, row = (o->width + 2 * border) * o->in;
    frame(s->values + o->x, s->batch, o->height, o->width, o->in, x, o->height, o->width, border, 1);
    const factor a = {x, s->tables + o->table, 0, o->kernel, row, o->kernel * o->in};
    multiply_rows(s->batch * o->high * o->wide, o->out, &a, s->p + o->weight, o->out, s->values + o->y, o->out,
                  o->bias < 0 ? 0 : s->p + o->bias);
}

static void convolution_back(const pass *s, const operation *o, float *dx) {
    const int64_t k = o->kernel, border = k / 2, rows = s->batch * o->high * o->wide;
    const int64_t run = k * o->in, skip = (o->width + 2 * border) * o->in;
    const float *dy = s->grads + o->y;
    for (int64_t i = 0; i < k; i++) {
        const factor a = {s->scratch + o->scratch + i * skip, s->tables + o->table, 0, 1, 0, 0};
        multiply_columns(run, o->out, &a, rows, dy, o->out, s->g + o->weight + i * run * o->out, o->out);
    }
    if (o->bias >= 0) sum_rows(dy, rows, o->out, s->g + o->bias);
    if (o->leaf) return;
    /* The gradient of x is the convolution of the framed gradient with the turned-round weights. */
    float *d = s->scratch + o->scratch + framed(s, o, o->in);
    frame(dy, s->batch, o->high, o->wide, o->out, d, o->height, o->width, border, o->stride);
    for (int64_t place = 0; place < k * k; place++) {
        transpose(s->p + o->weight + (k * k - 1 - place) * o->in * o->out, o->out, o->in, o->out,
                  s->turned + place * o->out * o->in, o->in);
    }
    const factor a = {d, s->tables + o->back, 0, k, (o->width + 2 * border) * o->out, k * o->out};
    multiply_rows(s->batch * o->positions, o->in, &a, s->turned, o->in, dx, o->in, 0);
}

/* What multiplies each of n numbers whose coordinates hash from `base` in steps: 0 where it is dropped. */
static void mask_line(float *at, int32_t n, uint32_t base, uint32_t step, uint32_t seed, int32_t least, float kept) {
    for (int32_t j = 0; j < n; j++) {
        const int32_t bits = (int32_t)(mix32((base + (uint32_t)j * step) ^ seed) >> 8);
        at[j] = (float)(bits >= least) * kept;
    }
}

/* Write what multiplies each number of a batch: 0 where it is dropped, 1 / (1 - rate) elsewhere. */
static void dropout_mask(const pass *s, const operation *o, float *mask) {
    const uint32_t first = 2654435761u, second = 2246822519u, third = 3266489917u;
    const uint32_t seed = (uint32_t)s->seeds[o->which];
    const float kept = 1.0f / (1.0f - s->rate);
    const int32_t least = (int32_t)ceil((double)s->rate * 0x1p24); /* k / 2^24 >= rate, in whole numbers */
    const int deep = o->axes > 1 && !o->per_channel;
    const int64_t lines = o->per_channel ? 1 : o->positions;
    for (int64_t b = 0; b < s->batch; b++) {
        for (int64_t t = 0; t < lines; t++, mask += o->in) {
            const uint32_t base = (uint32_t)b * first + (deep ? (uint32_t)t * second : 0u);
            mask_line(mask, (int32_t)o->in, base, deep ? third : second, seed, least, kept);
        }
    }
}

static void masked(const pass *s, const operation *o, const float *from, float *to) {
    const float *mask = s->scratch + o->scratch;
    const int64_t each = o->per_channel ? o->positions : 1, n = o->in;
    const int64_t lines = s->batch * o->positions / each;
    for (int64_t r = 0; r < lines; r++, mask += n) {
        for (int64_t t = 0; t < each; t++, from += n, to += n) {
            for (int64_t j = 0; j < n; j += 8) *(eight *)(to + j) = *(const eight *)(from + j) * *(const eight *)(mask + j);
        }
    }
}

static int drops(const pass *s) { return s->seeds && s->rate != 0.0f; }

static void dropout(const pass *s, const operation *o) {
    if (drops(s)) {
        dropout_mask(s, o, s->scratch + o->scratch);
        masked(s, o, s->values + o->x, s->values + o->y);
    } else {
        memcpy(s->values + o->y, s->values + o->x, s->batch * o->positions * o->in * sizeof(float));
    }
}

static void dropout_back(const pass *s, const operation *o, float *dx) {
    if (drops(s)) masked(s, o, s->grads + o->y, dx);
    else memcpy(dx, s->grads + o->y, s->batch * o->positions * o->in * sizeof(float));
}

static void activation(const pass *s, const operation *o) {
    activate((int)o->which, s->values + o->x, s->values + o->y, s->batch * o->positions * o->in);
}

static void activation_back(const pass *s, const operation *o, float *dx) {
    activate_back((int)o->which, s->values + o->x, s->values + o->y, s->grads + o->y, dx,
                  s->batch * o->positions * o->in);
}

/* The maximum of each square of four pixels; an odd last row or column is left out. */
static void maxpool(const pass *s, const operation *o) {
    const int64_t n = o->in, row = o->width * n;
    float *restrict y = s->values + o->y;
    for (int64_t b = 0; b < s->batch; b++) {
        const float *map = s->values + o->x + b * o->height * row;
        for (int64_t i = 0; i < o->high; i++) {
            for (int64_t j = 0; j < o->wide; j++, y += n) {
                const float *restrict a = map + 2 * i * row + 2 * j * n, *restrict c = a + row;
                for (int64_t k = 0; k < n; k += 8) {
                    const eight upper = larger(load8(a + k), load8(a + k + n));
                    store8(y + k, larger(upper, larger(load8(c + k), load8(c + k + n))));
                }
            }
        }
    }
}

/* Equal maxima share the gradient. */
static void maxpool_back(const pass *s, const operation *o, float *dx) {
    const int64_t n = o->in, row = o->width * n;
    const float *restrict y = s->values + o->y, *restrict dy = s->grads + o->y;
    if (o->height & 1 || o->width & 1) memset(dx, 0, s->batch * o->height * row * sizeof *dx);
    for (int64_t b = 0; b < s->batch; b++) {
        for (int64_t i = 0; i < o->high; i++) {
            for (int64_t j = 0; j < o->wide; j++, y += n, dy += n) {
                const int64_t place = b * o->height * row + 2 * i * row + 2 * j * n;
                const float *restrict a = s->values + o->x + place, *restrict c = a + row;
                float *restrict d = dx + place, *restrict f = d + row;
                for (int64_t k = 0; k < n; k += 8) {
                    const eight most = load8(y + k);
                    const eight first = equal(load8(a + k), most), second = equal(load8(a + k + n), most);
                    const eight third = equal(load8(c + k), most), fourth = equal(load8(c + k + n), most);
                    const eight share = load8(dy + k) / (first + second + third + fourth);
                    store8(d + k, first * share);
                    store8(d + k + n, second * share);
                    store8(f + k, third * share);
                    store8(f + k + n, fourth * share);
                }
            }
        }
    }
}

/* y = x + other. */
static void sum(const pass *s, const operation *o) {
    const float *a = s->values + o->x, *b = s->values + o->other;
    float *y = s->values + o->y;
    for (int64_t i = 0; i < s->batch * o->positions * o->in; i++) y[i] = a[i] + b[i];
}

/* Give dy to one of the summands. */
static void share(const float *dy, float *dx, int64_t n, int64_t add) {
    if (!add) memcpy(dx, dy, n * sizeof *dx);
    else for (int64_t i = 0; i < n; i++) dx[i] += dy[i];
}

static void sum_back(const pass *s, const operation *o) {
    const int64_t n = s->batch * o->positions * o->in;
    share(s->grads + o->y, s->grads + o->x, n, o->add);
    share(s->grads + o->y, s->grads + o->other, n, o->add_other);
}

enum { NORM_EPSILON_INVERSE = 100000 }; /* torch adds 1e-5 to a variance */

INLINE float total8(eight v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

/* Each position by itself over its features, a multiple of 8; keeps the normalised numbers and the scales. */
static void layernorm(const pass *s, const operation *o) {
    const int64_t n = o->in, rows = s->batch * o->positions;
    const float *x = s->values + o->x, *w = s->p + o->weight, *b = s->p + o->bias;
    float *y = s->values + o->y, *kept = s->scratch + o->scratch, *scales = kept + rows * n;
    for (int64_t r = 0; r < rows; r++, x += n, y += n, kept += n) {
        eight sum = {0}, square = {0};
        for (int64_t j = 0; j < n; j += 8) sum += load8(x + j);
        const float mean = total8(sum) / (float)n;
        for (int64_t j = 0; j < n; j += 8) {
            const eight d = load8(x + j) - mean;
            square += d * d;
        }
        const float scale = 1.0f / sqrtf(total8(square) / (float)n + 1.0f / NORM_EPSILON_INVERSE);
        scales[r] = scale;
        for (int64_t j = 0; j < n; j += 8) {
            const eight normal = (load8(x + j) - mean) * scale;
            store8(kept + j, normal);
            store8(y + j, normal * load8(w + j) + load8(b + j));
        }
    }
}

static void layernorm_back(const pass *s, const operation *o, float *dx) {
    const int64_t n = o->in, rows = s->batch * o->positions;
    const float *dy = s->grads + o->y, *w = s->p + o->weight;
    const float *kept = s->scratch + o->scratch, *scales = kept + rows * n;
    float *dw = s->g + o->weight, *db = s->g + o->bias;
    memset(dw, 0, n * sizeof *dw);
    memset(db, 0, n * sizeof *db);
    for (int64_t r = 0; r < rows; r++, dy += n, dx += n, kept += n) {
        eight sum = {0}, product = {0};
        for (int64_t j = 0; j < n; j += 8) {
            const eight d = load8(dy + j), normal = load8(kept + j), weighted = d * load8(w + j);
            store8(dw + j, load8(dw + j) + d * normal);
            store8(db + j, load8(db + j) + d);
            sum += weighted;
            product += weighted * normal;
        }
        const float mean = total8(sum) / (float)n, slope = total8(product) / (float)n, scale = scales[r];
        for (int64_t j = 0; j < n; j += 8) {
            const eight weighted = load8(dy + j) * load8(w + j);
            store8(dx + j, (weighted - mean - load8(kept + j) * slope) * scale);
        }
    }
}

/* Groups of 8 channels over all pixels of an example; keeps as layernorm does. */
static void groupnorm(const pass *s, const operation *o) {
    const int64_t n = o->in, pixels = o->positions, groups = n / 8;
    const float count = (float)(8 * pixels);
    float *scales = s->scratch + o->scratch + s->batch * pixels * n;
    for (int64_t b = 0; b < s->batch; b++) {
        for (int64_t g = 0; g < groups; g++) {
            const int64_t begin = b * pixels * n + 8 * g;
            const float *x = s->values + o->x + begin;
            float *y = s->values + o->y + begin, *kept = s->scratch + o->scratch + begin;
            const eight w = load8(s->p + o->weight + 8 * g), bias = load8(s->p + o->bias + 8 * g);
            eight sum = {0}, square = {0};
            for (int64_t t = 0; t < pixels; t++) sum += load8(x + t * n);
            const float mean = total8(sum) / count;
            for (int64_t t = 0; t < pixels; t++) {
                const eight d = load8(x + t * n) - mean;
                square += d * d;
            }
            const float scale = 1.0f / sqrtf(total8(square) / count + 1.0f / NORM_EPSILON_INVERSE);
            scales[b * groups + g] = scale;
            for (int64_t t = 0; t < pixels; t++) {
                const eight normal = (load8(x + t * n) - mean) * scale;
                store8(kept + t * n, normal);
                store8(y + t * n, normal * w + bias);
            }
        }
    }
}

static void groupnorm_back(const pass *s, const operation *o, float *dx) {
    const int64_t n = o->in, pixels = o->positions, groups = n / 8;
    const float count = (float)(8 * pixels), *scales = s->scratch + o->scratch + s->batch * pixels * n;
    memset(s->g + o->weight, 0, n * sizeof(float));
    memset(s->g + o->bias, 0, n * sizeof(float));
    for (int64_t b = 0; b < s->batch; b++) {
        for (int64_t g = 0; g < groups; g++) {
            const int64_t begin = b * pixels * n + 8 * g;
            const float *dy = s->grads + o->y + begin, *kept = s->scratch + o->scratch + begin;
            float *dw = s->g + o->weight + 8 * g, *db = s->g + o->bias + 8 * g;
            const eight w = load8(s->p + o->weight + 8 * g);
            eight sum = {0}, product = {0};
            for (int64_t t = 0; t < pixels; t++) {
                const eight d = load8(dy + t * n);
                sum += d;
                product += d * load8(kept + t * n);
            }
            store8(dw, load8(dw) + product);
            store8(db, load8(db) + sum);
            const float mean = total8(sum * w) / count, slope = total8(product * w) / count;
            const float scale = scales[b * groups + g];
            for (int64_t t = 0; t < pixels; t++) {
                const eight weighted = load8(dy + t * n) * w;
                store8(dx + begin + t * n, (weighted - mean - load8(kept + t * n) * slope) * scale);
            }
        }
    }
}

/* y = x + a vector of each position's own. */
static void positions(const pass *s, const operation *o) {
    const int64_t block = o->positions * o->in;
    for (int64_t b = 0; b < s->batch; b++) {
        const float *x = s->values + o->x + b * block, *w = s->p + o->weight;
        float *y = s->values + o->y + b * block;
        for (int64_t i = 0; i < block; i++) y[i] = x[i] + w[i];
    }
}

static void positions_back(const pass *s, const operation *o, float *dx) {
    const int64_t block = o->positions * o->in;
    sum_rows(s->grads + o->y, s->batch, block, s->g + o->weight);
    memcpy(dx, s->grads + o->y, s->batch * block * sizeof *dx);
}

/* Attention of one head: what it keeps are the weights, (positions, wide), wide a multiple of 8. */
typedef struct {
    int64_t positions, wide, width, triple, features;
    float scale;
} head;

static head head_of(const operation *o) {
    const int64_t width = o->features / o->which;
    return (head){o->positions, (o->positions + 7) / 8 * 8, width, o->in, o->features, 1.0f / sqrtf((float)width)};
}

/* to (width, wide) = the transpose of the rows of a head, (positions, width), `triple` apart; zeros beyond. */
static void turned(const head *h, const float *from, float *to) {
    for (int64_t c = 0; c < h->width; c++) {
        for (int64_t j = 0; j < h->positions; j++) to[c * h->wide + j] = from[j * h->triple + c];
        for (int64_t j = h->positions; j < h->wide; j++) to[c * h->wide + j] = 0.0f;
    }
}

/* to (positions, wide) = a (positions, width) times b (width, wide), a's rows `triple` or `stored` apart. */
static void products(const head *h, const float *a, int64_t apart, const float *b, float *to) {
    for (int64_t i = 0; i < h->positions; i++) {
        for (int64_t j = 0; j < h->wide; j += 8) {
            eight sum = {0};
            for (int64_t c = 0; c < h->width; c++) sum += a[i * apart + c] * load8(b + c * h->wide + j);
            store8(to + i * h->wide + j, sum);
        }
    }
}

/* to's row i = the sum over j of weights[i][j], or of weights[j][i] if `across`, times from's row j. */
static void mixed(const head *h, const float *weights, int across, const float *from, int64_t from_apart, float *to,
                  int64_t to_apart) {
    const int64_t by_row = across ? 1 : h->wide, by_column = across ? h->wide : 1;
    for (int64_t i = 0; i < h->positions; i++) {
        for (int64_t c = 0; c < h->width; c += 8) {
            eight sum = {0};
            for (int64_t j = 0; j < h->positions; j++) {
                sum += weights[i * by_row + j * by_column] * load8(from + j * from_apart + c);
            }
            store8(to + i * to_apart + c, sum);
        }
    }
}

static void attend(const head *h, const float *query, float *weights, float *y, int64_t stored, float *spare) {
    const float *key = query + h->features, *value = key + h->features;
    turned(h, key, spare);
    products(h, query, h->triple, spare, weights);
    for (int64_t i = 0; i < h->positions; i++) {
        float *restrict row = weights + i * h->wide, most = row[0], total = 0.0f;
        for (int64_t j = 1; j < h->positions; j++) most = row[j] > most ? row[j] : most;
        for (int64_t j = 0; j < h->wide; j++) row[j] = exponential((row[j] - most) * h->scale);
        for (int64_t j = 0; j < h->positions; j++) total += row[j];
        const float each = 1.0f / total;
        for (int64_t j = 0; j < h->wide; j++) row[j] *= each;
        for (int64_t j = h->positions; j < h->wide; j++) row[j] = 0.0f;
    }
    mixed(h, weights, 0, value, h->triple, y, stored);
}

static void attend_back(const head *h, const float *query, const float *weights, const float *dy, int64_t stored,
                        float *dquery, float *spare) {
    const float *key = query + h->features, *value = key + h->features;
    float *dkey = dquery + h->features, *dvalue = dkey + h->features, *slope = spare + h->width * h->wide;
    turned(h, value, spare);
    products(h, dy, stored, spare, slope);
    for (int64_t i = 0; i < h->positions; i++) {
        const float *restrict row = weights + i * h->wide;
        float *restrict own = slope + i * h->wide, mean = 0.0f;
        for (int64_t j = 0; j < h->positions; j++) mean += row[j] * own[j];
        for (int64_t j = 0; j < h->wide; j++) own[j] = row[j] * (own[j] - mean) * h->scale;
    }
    mixed(h, slope, 0, key, h->triple, dquery, h->triple);
    mixed(h, slope, 1, query, h->triple, dkey, h->triple);
    mixed(h, weights, 1, dy, stored, dvalue, h->triple);
}

static void attention(const pass *s, const operation *o) {
    const head h = head_of(o);
    float *weights = s->scratch + o->scratch, *spare = weights + s->batch * o->which * h.positions * h.wide;
    for (int64_t b = 0; b < s->batch; b++) {
        for (int64_t e = 0; e < o->which; e++, weights += h.positions * h.wide) {
            attend(&h, s->values + o->x + b * h.positions * h.triple + e * h.width, weights,
                   s->values + o->y + b * h.positions * o->out + e * h.width, o->out, spare);
        }
    }
}

static void attention_back(const pass *s, const operation *o, float *dx) {
    const head h = head_of(o);
    float *weights = s->scratch + o->scratch, *spare = weights + s->batch * o->which * h.positions * h.wide;
    memset(dx, 0, s->batch * h.positions * h.triple * sizeof *dx);
    for (int64_t b = 0; b < s->batch; b++) {
        for (int64_t e = 0; e < o->which; e++, weights += h.positions * h.wide) {
            const int64_t begin = b * h.positions * h.triple + e * h.width;
            attend_back(&h, s->values + o->x + begin, weights, s->grads + o->y + b * h.positions * o->out + e * h.width,
                        o->out, dx + begin, spare);
        }
    }
}

/* What a recurrent layer keeps, each (batch, positions, ...): gates (3 n), inner products and states before (n). */
typedef struct {
    float *gates, *inner, *before, *own;
} memory;

static memory memory_of(const pass *s, const operation *o) {
    const int64_t rows = s->batch * o->positions;
    float *at = s->scratch + o->scratch;
    return (memory){at, at + rows * 3 * o->out, at + rows * 4 * o->out, at + rows * 5 * o->out};
}

/* One step of one example: its gates' inputs become the gates. */
static void unit(int64_t n, float *restrict gate, const float *restrict own, const float *restrict c,
                 const float *restrict before, float *restrict inner, float *restrict state) {
    for (int64_t j = 0; j < n; j++) {
        const float reset = sigmoid(gate[j] + own[j]), update = sigmoid(gate[n + j] + own[n + j]);
        const float product = own[2 * n + j] + c[j];
        const float fresh = hyperbolic_tangent(gate[2 * n + j] + reset * product);
        inner[j] = product;
        state[j] = (1.0f - update) * fresh + update * before[j];
        gate[j] = reset;
        gate[n + j] = update;
        gate[2 * n + j] = fresh;
    }
}

/* Backward: the gates become their gradients by the inputs, `back` those by the state before, `inner` the
 * third of these, and d what reaches the state before directly. */
static void unit_back(int64_t n, float *restrict gate, float *restrict inner, const float *restrict before,
                      float *restrict d, float *restrict back) {
    for (int64_t j = 0; j < n; j++) {
        const float reset = gate[j], update = gate[n + j], fresh = gate[2 * n + j];
        const float slope = d[j] * (1.0f - update) * (1.0f - fresh * fresh);
        const float by_reset = slope * inner[j] * reset * (1.0f - reset);
        const float by_update = d[j] * (before[j] - fresh) * update * (1.0f - update);
        inner[j] = slope * reset;
        d[j] = d[j] * update;
        gate[j] = by_reset;
        gate[n + j] = by_update;
        gate[2 * n + j] = slope;
        back[j] = by_reset;
        back[n + j] = by_update;
        back[2 * n + j] = inner[j];
    }
}

static void gru(const pass *s, const operation *o) {
    const int64_t n = o->out, steps = o->positions, rows = s->batch * steps;
    const memory k = memory_of(s, o);
    float *y = s->values + o->y;
    const factor a = {s->values + o->x, 0, o->in, 1, 0, o->in};
    multiply_rows(rows, 3 * n, &a, s->p + o->weight, 3 * n, k.gates, 3 * n, s->p + o->bias);
    for (int64_t t = 0; t < steps; t++) {
        for (int64_t b = 0; b < s->batch; b++) {
            float *before = k.before + (b * steps + t) * n;
            if (t) memcpy(before, y + (b * steps + t - 1) * n, n * sizeof *before);
            else memset(before, 0, n * sizeof *before);
        }
        const factor h = {k.before + t * n, 0, steps * n, 1, 0, n};
        multiply_rows(s->batch, 3 * n, &h, s->p + o->hidden, 3 * n, k.own, 3 * n, 0);
        for (int64_t b = 0; b < s->batch; b++) {
            const int64_t row = b * steps + t;
            unit(n, k.gates + row * 3 * n, k.own + b * 3 * n, s->p + o->inner, k.before + row * n, k.inner + row * n,
                 y + row * n);
        }
    }
}

static void gru_back(const pass *s, const operation *o, float *dx) {
    const int64_t n = o->out, steps = o->positions, rows = s->batch * steps;
    const memory k = memory_of(s, o);
    float *dy = s->grads + o->y, *flow = k.own, *passed = flow + s->batch * 3 * n;
    transpose(s->p + o->hidden, 3 * n, n, 3 * n, s->turned, n);
    for (int64_t t = steps - 1; t >= 0; t--) {
        for (int64_t b = 0; b < s->batch; b++) {
            const int64_t row = b * steps + t;
            unit_back(n, k.gates + row * 3 * n, k.inner + row * n, k.before + row * n, dy + row * n, flow + b * 3 * n);
        }
        if (!t) continue;
        const factor a = {flow, 0, 3 * n, 1, 0, 3 * n};
        multiply_rows(s->batch, n, &a, s->turned, n, passed, n, 0);
        for (int64_t b = 0; b < s->batch; b++) {
            const float *d = dy + (b * steps + t) * n, *more = passed + b * n;
            float *earlier = dy + (b * steps + t - 1) * n;
            for (int64_t j = 0; j < n; j++) earlier[j] += d[j] + more[j];
        }
    }
    const factor x = {s->values + o->x, 0, o->in, 1, 0, o->in}, h = {k.before, 0, n, 1, 0, n};
    multiply_columns(o->in, 3 * n, &x, rows, k.gates, 3 * n, s->g + o->weight, 3 * n);
    multiply_columns(n, 2 * n, &h, rows, k.gates, 3 * n, s->g + o->hidden, 3 * n);
    multiply_columns(n, n, &h, rows, k.inner, n, s->g + o->hidden + 2 * n, 3 * n);
    sum_rows(k.gates, rows, 3 * n, s->g + o->bias);
    sum_rows(k.inner, rows, n, s->g + o->inner);
    if (o->leaf) return;
    transpose(s->p + o->weight, 3 * n, o->in, 3 * n, s->turned, o->in);
    const factor a = {k.gates, 0, 3 * n, 1, 0, 3 * n};
    multiply_rows(rows, o->in, &a, s->turned, o->in, dx, o->in, 0);
}

static void last(const pass *s, const operation *o) {
    const int64_t n = o->in, steps = o->positions;
    for (int64_t b = 0; b < s->batch; b++) {
        memcpy(s->values + o->y + b * n, s->values + o->x + ((b + 1) * steps - 1) * n, n * sizeof(float));
    }
}

static void last_back(const pass *s, const operation *o, float *dx) {
    const int64_t n = o->in, steps = o->positions;
    memset(dx, 0, s->batch * steps * n * sizeof *dx);
    for (int64_t b = 0; b < s->batch; b++) {
        memcpy(dx + ((b + 1) * steps - 1) * n, s->grads + o->y + b * n, n * sizeof *dx);
    }
}

/* The mean over positions. */
static void average(const pass *s, const operation *o) {
    const int64_t n = o->in;
    for (int64_t b = 0; b < s->batch; b++) {
        float *y = s->values + o->y + b * n;
        sum_rows(s->values + o->x + b * o->positions * n, o->positions, n, y);
        for (int64_t j = 0; j < n; j++) y[j] /= (float)o->positions;
    }
}

static void average_back(const pass *s, const operation *o, float *dx) {
    const int64_t n = o->in;
    for (int64_t b = 0; b < s->batch; b++) {
        const float *dy = s->grads + o->y + b * n;
        for (int64_t t = 0; t < o->positions; t++, dx += n) {
            for (int64_t j = 0; j < n; j++) dx[j] = dy[j] / (float)o->positions;
        }
    }
}

static void forward(const pass *s) {
    for (int64_t i = 0; i < s->count; i++) {
        const operation *o = s->operations + i;
        switch (o->kind) {
        case LINEAR: linear(s, o); break;
        case CONVOLUTION: convolution(s, o); break;
        case ACTIVATION: activation(s, o); break;
        case DROPOUT: dropout(s, o); break;
        case MAXPOOL: maxpool(s, o); break;
        case SUM: sum(s, o); break;
        case LAYERNORM: layernorm(s, o); break;
        case GROUPNORM: groupnorm(s, o); break;
        case POSITIONS: positions(s, o); break;
        case ATTENTION: attention(s, o); break;
        case GRU: gru(s, o); break;
        case LAST: last(s, o); break;
        case AVERAGE: average(s, o); break;
        }
    }
}

static int has_parameters(int64_t kind) {
    return kind == LINEAR || kind == CONVOLUTION || kind == LAYERNORM || kind == GROUPNORM || kind == POSITIONS || kind == GRU;
}

static void backward(const pass *s, float *spare) {
    for (int64_t i = s->count - 1; i >= 0; i--) {
        const operation *o = s->operations + i;
        if (o->leaf && !has_parameters(o->kind)) continue;
        float *dx = o->add ? spare : s->grads + o->x;
        switch (o->kind) {
        case LINEAR: linear_back(s, o, dx); break;
        case CONVOLUTION: convolution_back(s, o, dx); break;
        case ACTIVATION: activation_back(s, o, dx); break;
        case DROPOUT: dropout_back(s, o, dx); break;
        case MAXPOOL: maxpool_back(s, o, dx); break;
        case SUM: sum_back(s, o); continue;
        case LAYERNORM: layernorm_back(s, o, dx); break;
        case GROUPNORM: groupnorm_back(s, o, dx); break;
        case POSITIONS: positions_back(s, o, dx); break;
        case ATTENTION: attention_back(s, o, dx); break;
        case GRU: gru_back(s, o, dx); break;
        case LAST: last_back(s, o, dx); break;
        case AVERAGE: average_back(s, o, dx); break;
        }
        if (!o->add || o->leaf) continue;
        float *sum = s->grads + o->x;
        for (int64_t j = 0; j < s->batch * o->positions * o->in; j++) sum[j] += spare[j];
    }
}

/* ---- Loss, update, and the two entries --------------------------------------------------------- */

/* Write into `dy` the gradient of the mean cross-entropy with smoothed targets: (softmax - target) / batch. */
static void loss_back(const float *logits, const int64_t *targets, int64_t batch, int64_t classes,
                      int64_t stored, float smoothing, float *dy) {
    for (int64_t b = 0; b < batch; b++, logits += stored, dy += stored) {
        float most = logits[0], sum = 0.0f;
        for (int64_t j = 1; j < classes; j++) most = logits[j] > most ? logits[j] : most;
        for (int64_t j = 0; j < classes; j++) {
            dy[j] = expf(logits[j] - most);
            sum += dy[j];
        }
        const float share = smoothing / (float)classes, each = 1.0f / (float)batch;
        for (int64_t j = 0; j < classes; j++) {
            const float target = (j == targets[b] ? 1.0f - smoothing : 0.0f) + share;
            dy[j] = (dy[j] / sum - target) * each;
        }
        for (int64_t j = classes; j < stored; j++) dy[j] = 0.0f;
    }
}

/* Write into `dy` the gradient of the mean squared error of the one output. */
static void squares_back(const float *outputs, const float *targets, int64_t batch, int64_t stored, float *dy) {
    memset(dy, 0, batch * stored * sizeof *dy);
    for (int64_t b = 0; b < batch; b++) dy[b * stored] = 2.0f * (outputs[b * stored] - targets[b]) / (float)batch;
}

/* The same order as _NAMES in updates.py. */
typedef struct {
    float decay, rate, coupled, l1, keep_m, add_m, keep_v, add_v, use_m, use_g, bias_v, adaptive, plain, dropout;
} coefficients;

/* The rule of updates.py on n numbers. */
static void update(float *restrict p, float *restrict m, float *restrict v, const float *restrict gradient,
                   int64_t n, const coefficients *c, float l1) {
    const coefficients k = *c;
    if (k.adaptive == 0.0f) {
        for (int64_t i = 0; i < n; i++) {
            const float sign = (float)((p[i] > 0.0f) - (p[i] < 0.0f));
            const float g = gradient[i] + k.coupled * p[i] + l1 * sign;
            m[i] = k.keep_m * m[i] + k.add_m * g;
            p[i] = k.decay * p[i] - k.rate * (k.use_m * m[i] + k.use_g * g);
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const float sign = (float)((p[i] > 0.0f) - (p[i] < 0.0f));
        const float g = gradient[i] + k.coupled * p[i] + l1 * sign;
        m[i] = k.keep_m * m[i] + k.add_m * g;
        v[i] = k.keep_v * v[i] + k.add_v * (g * g);
        p[i] = k.decay * p[i] - k.rate * (k.use_m * m[i] + k.use_g * g) / (sqrtf(k.bias_v * v[i]) + 1e-8f);
    }
}

/* The same order as _Network in library.py. */
typedef struct {
    const operation *operations;
    int64_t count;
    const int64_t *tables;
    const int64_t *segments; /* (n_segments, 3): begin, numbers, whether L1 shrinks them */
    int64_t n_segments;
    int64_t features;        /* of an example */
    int64_t logits;          /* offset of the last value */
    int64_t classes, stored; /* true and stored numbers of a row of logits; one class: a regression */
    int64_t scratch_size;
    float *values, *grads, *scratch, *turned, *spare, *g;
} network;

static pass pass_of(const network *n, const float *p, int64_t batch) {
    return (pass){n->operations, n->count, n->tables, n->values, n->grads, n->scratch, n->turned, p, n->g,
                  batch, 0.0f, 0};
}

/* What the two entries do is not inlined into them, so that none of it is moved out of the changed mode. */
#define APART static __attribute__((noinline))

/* Take `steps` steps. inputs (examples, features), targets (examples; floats for a regression), order (steps, batch),
 * coefficients (steps), seeds (steps, dropouts). */
APART void train(const network *n, float *p, float *m, float *v, const float *inputs, const void *targets,
                 const int64_t *order, int64_t steps, int64_t batch, const coefficients *all,
                 const int32_t *seeds, int64_t dropouts, float smoothing, void *batch_targets) {
    const int regression = n->classes == 1;
    pass s = pass_of(n, p, batch);
    memset(n->scratch, 0, n->scratch_size * sizeof *n->scratch);
    for (int64_t step = 0; step < steps; step++, order += batch) {
        for (int64_t b = 0; b < batch; b++) {
            memcpy(n->values + b * n->features, inputs + order[b] * n->features, n->features * sizeof *inputs);
            if (regression) ((float *)batch_targets)[b] = ((const float *)targets)[order[b]];
            else ((int64_t *)batch_targets)[b] = ((const int64_t *)targets)[order[b]];
        }
        s.rate = all[step].dropout;
        s.seeds = seeds + step * dropouts;
        forward(&s);
        float *outputs = n->values + n->logits, *dy = n->grads + n->logits;
        if (regression) squares_back(outputs, batch_targets, batch, n->stored, dy);
        else loss_back(outputs, batch_targets, batch, n->classes, n->stored, smoothing, dy);
        backward(&s, n->spare);
        for (int64_t i = 0; i < n->n_segments; i++) {
            const int64_t *segment = n->segments + 3 * i, begin = segment[0];
            update(p + begin, m + begin, v + begin, n->g + begin, segment[1], all + step,
                   segment[2] ? all[step].l1 : 0.0f);
        }
    }
}

/* Score `examples` examples, at most `batch` at a time; return how many are right, and write the sum of
 * their cross-entropies (nats), for a regression that of the squared errors. The largest logit decides, the first of
 * equals, not-a-number above all. */
APART int64_t score(const network *n, const float *p, const float *inputs, const void *targets,
                    int64_t examples, int64_t batch, double *loss) {
    int64_t right = 0;
    *loss = 0.0;
    memset(n->scratch, 0, n->scratch_size * sizeof *n->scratch);
    for (int64_t begin = 0; begin < examples; begin += batch) {
        const int64_t count = examples - begin < batch ? examples - begin : batch;
        pass s = pass_of(n, p, count);
        memcpy(n->values, inputs + begin * n->features, count * n->features * sizeof *inputs);
        forward(&s);
        for (int64_t b = 0; b < count; b++) {
            const float *logits = n->values + n->logits + b * n->stored;
            if (n->classes == 1) {
                const double off = (double)logits[0] - (double)((const float *)targets)[begin + b];
                *loss += off * off;
                continue;
            }
            const int64_t target = ((const int64_t *)targets)[begin + b];
            int64_t best = 0;
            for (int64_t j = 1; j < n->classes; j++) {
                const int above = logits[j] > logits[best] || (logits[j] != logits[j] && logits[best] == logits[best]);
                if (above) best = j;
            }
            float sum = 0.0f;
            for (int64_t j = 0; j < n->classes; j++) sum += expf(logits[j] - logits[best]);
            *loss += logf(sum) + logits[best] - logits[target];
            right += best == target;
        }
    }
    return right;
}

void hpbench_train(const network *n, float *p, float *m, float *v, const float *inputs, const void *targets,
                   const int64_t *order, int64_t steps, int64_t batch, const coefficients *all,
                   const int32_t *seeds, int64_t dropouts, float smoothing, void *batch_targets) {
    const mode before = flush_tiny();
    train(n, p, m, v, inputs, targets, order, steps, batch, all, seeds, dropouts, smoothing, batch_targets);
    restore(before);
}

int64_t hpbench_score(const network *n, const float *p, const float *inputs, const void *targets,
                      int64_t examples, int64_t batch, double *loss) {
    const mode before = flush_tiny();
    const int64_t right = score(n, p, inputs, targets, examples, batch, loss);
    restore(before);
    return right;
}
