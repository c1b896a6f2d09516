/* What the run loop calls of the exit meter, each only while there is one. */
#ifndef PYKVM_HISTOGRAM_H
#define PYKVM_HISTOGRAM_H

#include "shim.h"

void shim_meter_leave(struct shim_meter *meter, int error);

#endif
