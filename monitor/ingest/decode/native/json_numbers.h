/* Reads JSON numbers, and times as RFC 3339 writes them, as exactly as Python does.

   Readers return false for everything that is not surely valid, and for some valid numbers: more than
   19 digits, exponents beyond those of exact powers, a negative zero. Such records are left to the
   decoders in Python. */

#ifndef PLUMBLINE_JSON_NUMBERS_H
#define PLUMBLINE_JSON_NUMBERS_H

#include <math.h>

#include "json_text.h"

enum { MAX_DIGITS = 19, MAX_EXACT_POWER = 22, DOUBLE_BITS = 53 };

static const double POWERS_OF_TEN[MAX_EXACT_POWER + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

#ifdef __SIZEOF_INT128__
/* Returns digits / 10^power, correctly rounded. The quotient of integers has at least 54 bits, and the
   remainder tells on which side of a half it is. digits: at least 2^53. power: 1 to 19. */
static inline double divided(uint64_t digits, int power)
{
    __extension__ typedef unsigned __int128 Wide;
    uint64_t divisor = 1;
    for (int i = 0; i < power; i++)
        divisor *= 10;
    Wide wide = (Wide)digits << 64;
    Wide quotient = wide / divisor;
    bool exact = wide % divisor == 0;
    uint64_t top = (uint64_t)(quotient >> 64);
    int bits = top ? 128 - __builtin_clzll(top) : 64 - __builtin_clzll((uint64_t)quotient);
    int shift = bits - DOUBLE_BITS;
    uint64_t kept = (uint64_t)(quotient >> shift);
    Wide lost = quotient & (((Wide)1 << shift) - 1), half = (Wide)1 << (shift - 1);
    if (lost > half || (lost == half && (!exact || (kept & 1))))
        kept++;
    return ldexp((double)kept, shift - 64);
}
#endif

/* Sets `value` to digits x 10^power, correctly rounded. Returns whether it could. */
static inline bool scaled(uint64_t digits, int power, double *value)
{
    if (power == 0 || digits == 0) {
        *value = (double)digits;
        return true;
    }
    if (digits <= (uint64_t)1 << DOUBLE_BITS && power >= -MAX_EXACT_POWER && power <= MAX_EXACT_POWER) {
        *value = power < 0 ? (double)digits / POWERS_OF_TEN[-power] : (double)digits * POWERS_OF_TEN[power];
        return true;
    }
#ifdef __SIZEOF_INT128__
    if (digits > (uint64_t)1 << DOUBLE_BITS && power < 0 && power >= -MAX_DIGITS) {
        *value = divided(digits, -power);
        return true;
    }
#endif
    return false;
}

/* Reads digits behind those that were read, at most MAX_DIGITS in all. */
static inline bool read_digits(Bytes *in, uint64_t *digits, int *count)
{
    Place start = in->at;
    for (; in->at < in->end && (uint8_t)(*in->at - '0') < 10; in->at++) {
        if (*count == MAX_DIGITS)
            return false;
        *digits = *digits * 10 + (uint64_t)(*in->at - '0');
        *count += *digits > 0; /* zeros in front do not count */
    }
    return in->at > start;
}

/* Reads an exponent behind its letter and adds it to `power`. */
static inline bool read_exponent(Bytes *in, int *power)
{
    bool negative = in->at < in->end && *in->at == '-';
    if (negative || (in->at < in->end && *in->at == '+'))
        in->at++;
    int exponent = 0;
    Place start = in->at;
    for (; in->at < in->end && (uint8_t)(*in->at - '0') < 10; in->at++) {
        if (in->at - start == 2)
            return false;
        exponent = exponent * 10 + (*in->at - '0');
    }
    *power += negative ? -exponent : exponent;
    return in->at > start;
}

/* Reads a number. */
static inline bool read_number(Bytes *in, double *value)
{
    uint64_t digits = 0;
    int count = 0, power = 0;
    bool negative = in->at < in->end && *in->at == '-';
    if (negative)
        in->at++;
    Place first = in->at;
    if (!read_digits(in, &digits, &count) || (*first == '0' && in->at - first > 1))
        return false;
    if (in->at < in->end && *in->at == '.') {
        Place point = ++in->at;
        if (!read_digits(in, &digits, &count))
            return false;
        if (in->at - point > MAX_DIGITS)
            return false;
        power = -(int)(in->at - point);
    }
    if (in->at < in->end && (*in->at | 0x20) == 'e') {
        in->at++;
        if (!read_exponent(in, &power))
            return false;
    }
    if ((negative && digits == 0) || !scaled(digits, power, value))
        return false;
    if (negative)
        *value = -*value;
    return true;
}

/* --- times --------------------------------------------------------------------------------- */

/* Reads a number of exactly `count` digits. Returns -1 if there is none. */
static inline int read_fixed(Place *p, Place end, int count)
{
    int value = 0;
    if (end - *p < count)
        return -1;
    for (int i = 0; i < count; i++, (*p)++) {
        if ((uint8_t)(**p - '0') > 9)
            return -1;
        value = value * 10 + (**p - '0');
    }
    return value;
}

static inline bool skip_byte(Place *p, Place end, char one, char other)
{
    if (*p == end || (**p != one && **p != other))
        return false;
    (*p)++;
    return true;
}

/* Returns the number of days from 1970 to a date of the Gregorian calendar; -1 if it does not exist. */
static inline int64_t days_to(int year, int month, int day)
{
    static const int BEFORE[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (year < 1970 || month < 1 || month > 12 || day < 1)
        return -1;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > BEFORE[month] - BEFORE[month - 1] + (leap && month == 2))
        return -1;
    int past = year - 1;
    int64_t leaps = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    return (int64_t)(year - 1970) * 365 + leaps + BEFORE[month - 1] + (leap && month > 2) + day - 1;
}

/* Reads the fraction of a second as microseconds. Returns -1 if it is finer. */
static inline int64_t read_microseconds(Place *p, Place end)
{
    int64_t value = 0;
    int digits = 0;
    if (*p == end || **p != '.')
        return 0;
    for ((*p)++; *p < end && (uint8_t)(**p - '0') < 10; (*p)++, digits++)
        value = value * 10 + (digits < 6 ? **p - '0' : 0);
    if (digits < 1 || digits > 6)
        return -1;
    for (; digits < 6; digits++)
        value *= 10;
    return value;
}

/* Reads the zone of a time, in seconds east of UTC. Without one it is UTC. */
static inline bool read_zone(Place *p, Place end, int *east)
{
    *east = 0;
    if (*p == end)
        return true;
    if (skip_byte(p, end, 'Z', 'z'))
        return *p == end;
    bool west = **p == '-';
    if (!skip_byte(p, end, '+', '-'))
        return false;
    int hours = read_fixed(p, end, 2);
    if (hours < 0 || hours > 23 || !skip_byte(p, end, ':', ':'))
        return false;
    int minutes = read_fixed(p, end, 2);
    if (minutes < 0 || minutes > 59 || *p != end)
        return false;
    *east = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

/* Reads a time such as 2025-10-09T08:53:20.25+02:00, as seconds since 1970. */
static inline bool read_time(Bytes text, double *seconds)
{
    Place p = text.at, end = text.end;
    int part[6], east;
    static const int DIGITS[] = {4, 2, 2, 2, 2, 2};
    static const char BEHIND[][2] = {{'-', '-'}, {'-', '-'}, {'T', 't'}, {':', ':'}, {':', ':'}};
    for (int i = 0; i < 6; i++) {
        if ((part[i] = read_fixed(&p, end, DIGITS[i])) < 0)
            return false;
        if (i < 5 && !skip_byte(&p, end, BEHIND[i][0], BEHIND[i][1])
            && !(i == 2 && skip_byte(&p, end, ' ', ' ')))
            return false;
    }
    int64_t days = days_to(part[0], part[1], part[2]), fraction = read_microseconds(&p, end);
    if (days < 0 || part[3] > 23 || part[4] > 59 || part[5] > 59 || fraction < 0
        || !read_zone(&p, end, &east))
        return false;
    int64_t whole = days * 86400 + part[3] * 3600 + part[4] * 60 + part[5] - east;
    *seconds = (double)(whole * 1000000 + fraction) / 1e6;
    return whole >= 0;
}

#endif
