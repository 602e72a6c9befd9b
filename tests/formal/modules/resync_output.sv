// Results of frames that all inputs call good leave, whole and in order; all others are dropped.
module harness #(
    parameter int BEATS = 2,
    parameter int INPUTS = 1
) (
    input  logic clk,
    input  logic data,
    input  logic offer,
    input  logic take,
    input  logic [INPUTS-1:0] verdict,
    input  logic [INPUTS-1:0] decides,
    output logic bad_value,
    output logic bad_last,
    output logic bad_steady,
    output logic bad_progress,
    output logic bad_reached
);
  localparam int FRAMES = 2;
  localparam int MOST = 8;  // beats and verdicts that the reference can hold

  logic [1:0] cycle = 2'd0;
  always_ff @(posedge clk) if (cycle != 2'd3) cycle <= cycle + 1'b1;
  wire rst = cycle == 2'd0;

  logic s_ready, m_data, m_valid, m_last, done, dropped;
  logic [INPUTS-1:0] v_ready;
  bnn2hw_resync_output #(
      .BITS(1),
      .BEATS(BEATS),
      .INPUTS(INPUTS),
      .FRAMES(FRAMES)
  ) dut (
      .clk(clk),
      .rst(rst),
      .s_data(data),
      .s_valid(offer && !rst),
      .s_ready(s_ready),
      .m_data(m_data),
      .m_valid(m_valid),
      .m_ready(take),
      .m_last(m_last),
      .verdict_bad(verdict),
      .verdict_valid(decides & {INPUTS{!rst}}),
      .verdict_ready(v_ready),
      .done(done),
      .dropped(dropped)
  );

  // A reference that holds what came in shift registers, the oldest lowest, and gives frames by their verdicts.
  logic [MOST-1:0] beats;
  logic [3:0] count, place;  // beats that are held; beats of a good frame that have left
  logic [INPUTS-1:0][3:0] judged;  // verdicts that are held
  logic [INPUTS-1:0][MOST-1:0] verdicts;
  logic all_known, any_bad;
  always_comb begin
    all_known = 1'b1;
    any_bad = 1'b0;
    for (int i = 0; i < INPUTS; i++) begin
      all_known = all_known && judged[i] != 0;
      any_bad = any_bad || verdicts[i][0];
    end
  end
  wire in = offer && s_ready && !rst;
  wire out = m_valid && take && !rst;
  wire drop = done && dropped && !rst;  // the last beat of a bad frame goes
  wire frame = drop || (out && place == 4'(BEATS - 1));
  wire [3:0] gone = drop ? 4'(BEATS) : 4'(out);
  always_ff @(posedge clk)
    if (rst) begin
      count <= '0;
      place <= '0;
    end else begin
      count <= count + 4'(in) - gone;
      if (frame) place <= '0;
      else if (out) place <= place + 1'b1;
    end
  wire [3:0] end_of_beats = count - gone;
  wire [MOST-1:0] rest = beats >> gone;
  always_ff @(posedge clk)
    for (int n = 0; n < MOST; n++) beats[n] <= in && end_of_beats == n ? data : rest[n];
  for (genvar i = 0; i < INPUTS; i++) begin : g_input
    wire comes = decides[i] && v_ready[i] && !rst;
    wire [3:0] end_of_verdicts = judged[i] - 4'(frame);
    always_ff @(posedge clk) begin
      judged[i] <= rst ? '0 : judged[i] + 4'(comes) - 4'(frame);
      for (int n = 0; n < MOST; n++) begin
        if (comes && end_of_verdicts == n) verdicts[i][n] <= verdict[i];
        else if (frame) verdicts[i][n] <= n + 1 < MOST ? verdicts[i][(n+1)%MOST] : 1'b0;
      end
    end
  end

  assign bad_value = (out && (count == 0 || !all_known || any_bad || m_data != beats[0]))
      || (drop && (count < BEATS || !all_known || !any_bad));
  assign bad_last = out && m_last != (place == 4'(BEATS - 1));
  logic was, was_data, was_last;
  always_ff @(posedge clk) {was, was_data, was_last} <= {!rst && m_valid && !take, m_data, m_last};
  assign bad_steady = cycle != 0 && was && (!m_valid || m_data != was_data || m_last != was_last);
  logic [3:0] idle;
  always_ff @(posedge clk) idle <= rst || out || drop || count < BEATS || !all_known || !take ? '0 : idle + 1'b1;
  assign bad_progress = cycle != 0 && idle > 3 + BEATS;
  assign bad_reached = out && m_last && m_data;
endmodule
