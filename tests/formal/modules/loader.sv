// After a start, the first WORDS * SLICES slices are written in order, and all others are passed on.
module harness #(
    parameter int WORDS = 2,
    parameter int SLICES = 2
) (
    input  logic clk,
    input  logic start,
    input  logic valid,
    input  logic [17:0] slice,
    output logic bad_write,
    output logic bad_pass,
    output logic bad_reached
);
  localparam int ALL = WORDS * SLICES;
  localparam int WORD_BITS = WORDS > 1 ? $clog2(WORDS) : 1;

  logic [1:0] cycle = 2'd0;
  always_ff @(posedge clk) if (cycle != 2'd3) cycle <= cycle + 1'b1;
  wire rst = cycle == 2'd0;

  logic [19:0] load_out;
  logic [SLICES-1:0] writes;
  logic [WORD_BITS-1:0] word;
  logic [17:0] written;
  // A start carries no slice.
  bnn2hw_loader #(
      .WORDS(WORDS),
      .SLICES(SLICES)
  ) dut (
      .clk(clk),
      .rst(rst),
      .load_in({start, valid && !start, slice}),
      .load_out(load_out),
      .writes(writes),
      .word(word),
      .slice(written)
  );

  // One cycle later: what came, and how many slices have come since the start.
  logic was_start, was_valid, started;
  logic [17:0] was;
  int seen;
  always_ff @(posedge clk) begin
    was_start <= start && !rst;
    was_valid <= valid && !start && !rst;
    was <= slice;
    if (rst) started <= 1'b0;
    else if (was_start) started <= 1'b1;
    if (was_start) seen <= 0;
    else if (was_valid && seen < ALL) seen <= seen + 1;
  end

  wire known = started && cycle == 2'd3 && !was_start;
  wire ours = was_valid && seen < ALL;
  assign bad_write = known && (writes != (ours ? SLICES'(1) << (seen % SLICES) : '0)
      || (ours && (written != was || word != WORD_BITS'(seen / SLICES))));
  assign bad_pass = cycle == 2'd3 && (load_out[19] != was_start
      || (known && (load_out[18] != (was_valid && !ours) || load_out[17:0] != was)));
  assign bad_reached = known && was_valid && !ours;
endmodule
