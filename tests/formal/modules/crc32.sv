// The checksum is the remainder of the bytes, bit by bit with the highest first, by the polynomial of Ethernet: the
// register is that remainder, reversed. Between bytes, the bits that are left lead to it.
module harness (
    input  logic clk,
    input  logic clear,
    input  logic offer,
    input  logic [7:0] data,
    output logic bad_value,
    output logic bad_busy,
    output logic bad_reached
);
  logic busy;
  logic [31:0] crc;
  wire valid = offer && !busy && !clear;
  bnn2hw_crc32 dut (
      .clk(clk),
      .clear(clear),
      .s_data(data),
      .s_valid(valid),
      .busy(busy),
      .crc(crc)
  );

  logic known = 1'b0;
  logic [31:0] remainder;  // not reversed
  logic [7:0] pending;  // bits of the byte that the hardware has not seen, the first one lowest
  logic [3:0] count;
  always_ff @(posedge clk)
    if (clear) begin
      known <= 1'b1;
      remainder <= '1;
      count <= '0;
    end else if (valid) begin
      pending <= data;
      count <= 4'd8;
    end else if (count != 0) begin
      // The bit of the byte is added to the highest of the remainder, which is then divided.
      remainder <= {remainder[30:0], 1'b0} ^ ({32{remainder[31] ^ pending[0]}} & 32'h04c11db7);
      pending <= pending >> 1;
      count <= count - 1'b1;
    end

  logic [31:0] reversed;
  for (genvar i = 0; i < 32; i++) assign reversed[i] = remainder[31-i];
  assign bad_value = known && crc != reversed;
  assign bad_busy = known && busy != (count != 0);
  assign bad_reached = known && count == 1 && crc[31] && !crc[0];
endmodule
