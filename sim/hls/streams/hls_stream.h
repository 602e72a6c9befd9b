// The part of hls::stream that the generated sources use, for C simulation.
//
// By default a stream holds any number of beats and everything runs in one thread, as in the
// vendor's C simulation; reading from an empty stream is an error. With BNN2HW_CONCURRENT, a stream
// holds DEPTH beats, as in hardware, and a process that cannot read or write waits for the others
// (see scheduler.hpp).
#ifndef BNN2HW_HLS_STREAM_H
#define BNN2HW_HLS_STREAM_H

#ifdef BNN2HW_CONCURRENT
#include "bounded_stream.hpp"
#else
#include "growing_stream.hpp"
#endif

#endif
