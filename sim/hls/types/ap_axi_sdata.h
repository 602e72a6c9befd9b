// A beat of an AXI4-Stream, without TUSER, TID and TDEST, for C simulation without the vendor's
// headers.
#ifndef BNN2HW_AP_AXI_SDATA_H
#define BNN2HW_AP_AXI_SDATA_H

#include <ap_int.h>

template <int D, int U, int TI, int TD>
struct ap_axiu {
  static_assert(U == 0 && TI == 0 && TD == 0, "this header has no TUSER, TID and TDEST");
  ap_uint<D> data;
  ap_uint<(D + 7) / 8> keep;
  ap_uint<(D + 7) / 8> strb;
  ap_uint<1> last;
};

#endif
