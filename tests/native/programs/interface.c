/* Uses the interface of the small network from C: unknown instructions and NULL are taken. */
#include "net.h"

int main(void) {
  static uint8_t in_image[2 * NET_IN_IMAGE_VALUES], out_class[2 * NET_OUT_CLASS_VALUES];
  net_network* network = net_create(0, NULL);
  if (!network || net_run(network, 2, in_image, out_class)) return 1;
  if (out_class[0] != out_class[1] || net_instructions(network)[0] != 'p') return 2;
  net_destroy(network);
  net_destroy(NULL);
  if (net_create(0, "mmx")) return 3;
  return 0;
}
