// Every packet becomes one frame of BEATS beats: its own beats in order, then zeros. The verdict comes with the last beat
// and says whether the packet had another length.
module harness #(
    parameter int BEATS = 2
) (
    input  logic clk,
    input  logic [1:0] data,
    input  logic offer,
    input  logic last,
    input  logic take,
    input  logic judge,
    output logic bad_passed,
    output logic bad_filled,
    output logic bad_step,
    output logic bad_verdict,
    output logic bad_progress,
    output logic bad_reached
);
  logic [1:0] cycle = 2'd0;
  always_ff @(posedge clk) if (cycle != 2'd3) cycle <= cycle + 1'b1;
  wire rst = cycle == 2'd0;

  logic ready, valid, bad, decided;
  logic [1:0] passed;
  bnn2hw_resync_input #(
      .BITS(2),
      .BEATS(BEATS)
  ) dut (
      .clk(clk),
      .rst(rst),
      .s_data(data),
      .s_valid(offer),
      .s_ready(ready),
      .s_last(last),
      .m_data(passed),
      .m_valid(valid),
      .m_ready(take),
      .verdict_bad(bad),
      .verdict_valid(decided),
      .verdict_ready(judge)
  );

  wire in = offer && ready && !rst;
  wire out = valid && take && !rst;
  wire verdict = decided && judge && !rst;
  logic [2:0] at, given;  // beats of the packet that were taken, at most BEATS; beats of the frame that were given
  logic ended;  // the packet has ended before its frame
  always_ff @(posedge clk)
    if (rst) begin
      at <= 0;
      given <= 0;
      ended <= 1'b0;
    end else begin
      if (in) at <= last ? '0 : at < BEATS ? at + 1'b1 : at;
      if (out) given <= given == BEATS - 1 ? '0 : given + 1'b1;
      if (in && last && at < BEATS - 1) ended <= 1'b1;
      else if (out && given == BEATS - 1) ended <= 1'b0;
    end

  wire full = given == BEATS - 1;
  assign bad_passed = in && (at < BEATS) != out || (in && at < BEATS && passed != data);
  assign bad_filled = out && !in && (!ended || passed != 0);
  assign bad_step = in && (ended || (at < BEATS && given != at) || (at == BEATS && given != 0));
  assign bad_verdict = !rst && (verdict != (out && full)
      || (verdict && bad == (in && last && at == BEATS - 1)));

  logic [7:0] idle;
  always_ff @(posedge clk) idle <= rst || in || !offer || !take || !judge ? '0 : idle + 1'b1;
  assign bad_progress = cycle != 0 && idle > BEATS;
  assign bad_reached = verdict && bad;
endmodule
