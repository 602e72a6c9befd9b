// Steps the machines of bnn2hw/ir/machine.py in compiled code: same states, same order, same
// cycles.
#include <cstdint>
#include <vector>

namespace {

using Bytes = const uint8_t*;
using Words = const int64_t*;

enum Kind : int32_t { PROCESS, RING, QUEUE };

}  // namespace

// A machine, laid out as in bnn2hw/estimate/stepper.py.
struct Op {
    int32_t kind;
    int32_t ports;
    int64_t latency;   // for a queue, its depth
    int64_t steps;     // for a ring, input beats per frame
    int64_t outputs;   // for a ring, output beats per frame
    int64_t capacity;
    const int64_t* sources;  // by input, the machine that drives it
    const uint8_t* reads;    // by step and port; for a ring, whether it keeps the beat
    const uint8_t* writes;
    const int64_t* need;
    const int64_t* frees;  // -1 if an output frees nothing
};

namespace {

class Machine {
  public:
    explicit Machine(const Op& op) : op(op), registers(op.kind == QUEUE ? 1 : op.latency, 0) {
        if (op.kind == RING)
            for (int64_t i = 0; i < op.steps; i++) kept += op.reads[i];
    }

    bool valid = false;

    // The inputs that are taken, one bit each.
    uint64_t ready(bool taken, uint64_t there) const {
        if (op.kind == QUEUE) return held < op.capacity;
        if (op.kind == RING) return !op.reads[at] || written - free_for_writer < op.capacity;
        if (valid && !taken) return 0;
        const uint64_t wanted = wants();
        if (op.ports == 1) return wanted;
        uint64_t takes = 0;
        for (int32_t i = 0; i < op.ports; i++) {
            const uint64_t one = uint64_t(1) << i;
            if ((wanted & one) && !(wanted & ~one & ~there)) takes |= one;
        }
        return takes;
    }

    // Goes to the next cycle; returns true if anything changed.
    bool tick(uint64_t entered, bool taken) {
        if (op.kind == QUEUE) {
            const bool left = valid && taken;
            held += int64_t(entered) - left;
            valid = held > 0;
            return left || entered;
        }
        return op.kind == RING ? tick_ring(entered, taken) : tick_process(entered, taken);
    }

  private:
    const Op& op;
    std::vector<uint8_t> registers;  // the pipeline as a ring; `first` is the output
    int64_t first = 0, full = 0;
    int64_t at = 0, output = 0;
    int64_t written = 0, frame_start = 0, free_for_writer = 0, freed = 0, kept = 0;
    int64_t held = 0;

    uint64_t wants() const {
        uint64_t bits = 0;
        for (int32_t i = 0; i < op.ports; i++) bits |= uint64_t(op.reads[at * op.ports + i]) << i;
        return bits;
    }

    void shift(bool entering) {
        full += int64_t(entering) - registers[first];
        registers[first] = entering;
        if (++first == op.latency) first = 0;
        valid = registers[first];
    }

    bool tick_process(uint64_t entered, bool taken) {
        if (valid && !taken) return false;
        const bool step = entered == wants();
        if (!step && !full) return false;
        shift(step && op.writes[at]);
        if (step && ++at == op.steps) at = 0;
        return true;
    }

    bool tick_ring(uint64_t entered, bool taken) {
        const int64_t arrived = written;
        if (entered) {
            written += op.reads[at];
            if (++at == op.steps) at = 0;
        }
        if (valid && !taken) return entered;
        const bool step = arrived >= frame_start + op.need[output];
        if (!step && !full && free_for_writer == freed) return entered;
        free_for_writer = freed;
        shift(step);
        if (step) {
            if (op.frees[output] >= 0) freed = frame_start + op.frees[output];
            if (++output == op.outputs) {
                output = 0;
                frame_start += kept;
            }
        }
        return true;
    }
};

struct Reader {
    int32_t machine, port;
};

}  // namespace

// Returns the cycle in which machine `last` offers its first output, or -1 after `limit` cycles.
// Sources `count` to `count + ends - 1` are inputs of the design.
extern "C" int64_t bnn2hw_first_output(const Op* ops, int32_t count, int32_t ends, int32_t last, int64_t limit) {
    const int32_t all = count + ends;
    std::vector<Machine> machines(ops, ops + count);
    std::vector<std::vector<Reader>> readers(all);
    for (int32_t i = 0; i < count; i++)
        for (int32_t port = 0; port < ops[i].ports; port++) readers[ops[i].sources[port]].push_back({i, port});
    std::vector<uint64_t> ready(count, 0);
    std::vector<uint8_t> known(count, 0), moves(all, 0), valid(all, 0), asked(all, 1), awake(all, 1);
    for (int32_t i = count; i < all; i++) valid[i] = 1;

    auto ask = [&](int32_t i) {
        if (!asked[i]) return;
        asked[i] = 0;
        bool moved = true;
        for (const Reader& r : readers[i]) moved = moved && (ready[r.machine] >> r.port & 1);
        if (moved != bool(moves[i])) {
            moves[i] = moved;
            awake[i] = 1;
            for (const Reader& r : readers[i]) awake[r.machine] = 1;
        }
        if (i >= count) return;
        uint64_t there = 0;
        for (int32_t port = 0; port < ops[i].ports; port++) there |= uint64_t(valid[ops[i].sources[port]]) << port;
        const uint64_t takes = machines[i].ready(moved, there);
        if (!known[i] || takes != ready[i]) {
            known[i] = 1;
            ready[i] = takes;
            for (int32_t port = 0; port < ops[i].ports; port++) asked[ops[i].sources[port]] = 1;
        }
    };

    for (int64_t cycle = 0; cycle < limit; cycle++) {
        for (int32_t i = count - 1; i >= 0; i--) ask(i);
        for (int32_t i = count; i < all; i++) ask(i);
        if (machines[last].valid) return cycle;
        for (int32_t i = 0; i < count; i++) {
            if (!awake[i]) continue;
            uint64_t entered = 0;
            for (int32_t port = 0; port < ops[i].ports; port++) {
                const int64_t s = ops[i].sources[port];
                entered |= uint64_t(valid[s] && moves[s]) << port;
            }
            awake[i] = asked[i] = machines[i].tick(entered, moves[i]);
        }
        for (int32_t i = 0; i < count; i++) {
            if (!asked[i] || machines[i].valid == bool(valid[i])) continue;
            valid[i] = machines[i].valid;
            for (const Reader& r : readers[i]) {
                awake[r.machine] = 1;
                if (ops[r.machine].ports > 1) asked[r.machine] = 1;
            }
        }
    }
    return -1;
}
