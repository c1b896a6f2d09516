/* Exits other than through the run loop: see details.c. */
#ifndef PYKVM_DETAILS_H
#define PYKVM_DETAILS_H

#include <linux/kvm.h>
#include <stdint.h>

#include "details.cdef.h"

#endif
