// Each byte that the transmitter takes comes out of a receiver at the same line, once, in order, within two bytes' time,
// and no stop bit is missing.
module harness #(
    parameter int DIVISOR = 4
) (
    input  logic clk,
    input  logic offer,
    input  logic [7:0] data,
    output logic bad_value,
    output logic bad_lost,
    output logic bad_framing,
    output logic bad_reached
);
  logic [1:0] cycle = 2'd0;
  always_ff @(posedge clk) if (cycle != 2'd3) cycle <= cycle + 1'b1;
  wire rst = cycle == 2'd0;

  logic ready, line, valid, framing;
  logic [7:0] received;
  bnn2hw_uart_tx #(
      .DIVISOR(DIVISOR)
  ) sender (
      .clk(clk),
      .rst(rst),
      .s_data(data),
      .s_valid(offer && !rst),
      .s_ready(ready),
      .tx(line)
  );
  bnn2hw_uart_rx #(
      .DIVISOR(DIVISOR)
  ) receiver (
      .clk(clk),
      .rst(rst),
      .rx(line),
      .m_data(received),
      .m_valid(valid),
      .bad(framing)
  );

  wire take = offer && ready && !rst;
  logic [7:0] first, second;
  logic [1:0] waiting = 2'd0;
  logic [7:0] age;  // cycles since the first byte that waits was first
  wire [1:0] left = waiting - 2'(valid && waiting != 0);
  always_ff @(posedge clk) begin
    waiting <= left + 2'(take);
    if (valid) first <= second;
    if (take && left == 0) first <= data;
    if (take) second <= data;
    age <= waiting == 0 || valid ? '0 : age + 1'b1;
  end
  assign bad_value = cycle != 0 && valid && (waiting == 0 || received != first);
  assign bad_lost = cycle != 0 && (waiting > 2 || (waiting != 0 && age > 20 * DIVISOR));
  assign bad_framing = cycle != 0 && framing;
  assign bad_reached = valid && waiting != 0 && received == 8'ha5;
endmodule
