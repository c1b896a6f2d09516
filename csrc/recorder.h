/* What the run loop calls of the exit recorder, each only while there is one. */
#ifndef PYKVM_RECORDER_H
#define PYKVM_RECORDER_H

#include "shim.h"

int shim_must_wait(const struct shim_recorder *recorder);
void shim_record(struct shim_vcpu *vcpu, int handled);
void shim_record_interruption(struct shim_vcpu *vcpu);

#endif
