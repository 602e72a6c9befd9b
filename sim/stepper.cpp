// Steps the machines of bnn2hw/ir/machine.py in compiled code: same states, same order, same
// cycles.
#include <cstddef>
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
    int64_t credits;       // of a process that steps by credits; else 0
    int64_t exit;          // with credits: the queue that returns them
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
        if (op.credits && held >= op.credits) return 0;
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

    // Goes to the next cycle; returns true if anything changed. `returned`: a credit comes back.
    bool tick(uint64_t entered, bool taken, bool returned) {
        if (op.credits) {
            held += int64_t(entered) - returned;
            tick_process(entered, taken);
            return true;  // the queue may return a credit in any cycle
        }
        if (op.kind == QUEUE) {
            const bool left = valid && taken;
            held += int64_t(entered) - left;
            valid = held > 0;
            return left || entered;
        }
        return op.kind == RING ? tick_ring(entered, taken) : tick_process(entered, taken);
    }

    // Appends everything that decides what the machine does from now on.
    void describe(std::vector<int64_t>& state) const {
        state.insert(state.end(), {at, output, held, written - frame_start});
        state.insert(state.end(), {free_for_writer - frame_start, freed - frame_start});
        for (std::size_t i = 0; i < registers.size(); i++)
            state.push_back(registers[(first + i) % registers.size()]);
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

// A set of small numbers, one bit each, that can be walked quickly while it changes.
class Bits {
  public:
    explicit Bits(int32_t size) : words((size + 63) / 64, 0) {}

    void set(int32_t i) { words[i >> 6] |= uint64_t(1) << (i & 63); }
    void clear(int32_t i) { words[i >> 6] &= ~(uint64_t(1) << (i & 63)); }
    void assign(int32_t i, bool value) { value ? set(i) : clear(i); }

    // Removes each number, from the largest to the smallest, and visits it. A visit may add numbers
    // that are smaller than the one it visits.
    template <typename Visit>
    void drain_downward(Visit visit) {
        for (std::size_t k = words.size(); k-- > 0;) {
            while (words[k]) {
                const int bit = 63 - __builtin_clzll(words[k]);
                words[k] &= ~(uint64_t(1) << bit);
                visit(int32_t(k * 64 + bit));
            }
        }
    }

    // Visits each number that is in the set when its word is reached, from the smallest on.
    template <typename Visit>
    void walk(Visit visit) const {
        for (std::size_t k = 0; k < words.size(); k++)
            for (uint64_t left = words[k]; left; left &= left - 1)
                visit(int32_t(k * 64 + __builtin_ctzll(left)));
    }

  private:
    std::vector<uint64_t> words;
};

struct Reader {
    int32_t machine, port;
};

// Machines that work together. Sources `count` to `count + ends - 1` are inputs of the design: each
// offers a beat in every cycle, until it has offered as many as `supply` says, or forever if that is
// negative. Outputs of the design are always taken.
class Network {
  public:
    Network(const Op* ops, int32_t count, int32_t ends, const int64_t* supply)
        : ops(ops),
          count(count),
          left(supply, supply + ends),
          machines(ops, ops + count),
          readers(count + ends),
          ready(count, 0),
          known(count, 0),
          moves(count + ends, 0),
          valid(count + ends, 0),
          asked(count),
          awake(count),
          asked_ends(ends),
          flowing(ends) {
        for (int32_t i = 0; i < count; i++) {
            for (int32_t port = 0; port < ops[i].ports; port++)
                readers[ops[i].sources[port]].push_back({i, port});
            asked.set(i);
            awake.set(i);
        }
        for (int32_t i = 0; i < ends; i++) {
            valid[count + i] = 1;
            asked_ends.set(i);
        }
    }

    // Decides which beats are taken in this cycle.
    void settle() {
        asked.drain_downward([&](int32_t i) { ask(i); });
        asked_ends.drain_downward([&](int32_t i) { ask_end(i); });
    }

    bool offers(int32_t i) const { return machines[i].valid; }
    bool hands_over(int32_t i) const { return machines[i].valid && moves[i]; }

    // The same for machines and inputs of the design, which follow the machines.
    bool passes(int32_t i) const { return valid[i] && moves[i]; }

    // Returns everything that decides what the network does from now on.
    std::vector<int64_t> state() const {
        std::vector<int64_t> found;
        for (const Machine& machine : machines) machine.describe(found);
        return found;
    }

    // Goes to the next cycle.
    void tick() {
        awake.walk([&](int32_t i) {
            uint64_t entered = 0;
            for (int32_t port = 0; port < ops[i].ports; port++) {
                const int64_t s = ops[i].sources[port];
                entered |= uint64_t(valid[s] && moves[s]) << port;
            }
            const bool returned = ops[i].credits && passes(int32_t(ops[i].exit));
            const bool changed = machines[i].tick(entered, moves[i], returned);
            awake.assign(i, changed);
            asked.assign(i, changed);
        });
        asked.walk([&](int32_t i) {
            if (machines[i].valid != bool(valid[i])) offer(i, machines[i].valid);
        });
        flowing.walk([&](int32_t i) {
            if (left[i] > 0 && --left[i] == 0) {
                flowing.clear(i);
                offer(count + i, false);
            }
        });
    }

  private:
    const Op* ops;
    const int32_t count;
    std::vector<int64_t> left;  // by input of the design, the beats that are left
    std::vector<Machine> machines;
    std::vector<std::vector<Reader>> readers;
    std::vector<uint64_t> ready;  // by machine, the inputs that it takes, as bits
    std::vector<uint8_t> known;   // whether `ready` has been decided at all
    std::vector<uint8_t> moves;   // whether a beat is taken if it is offered
    std::vector<uint8_t> valid;   // whether a beat is offered
    Bits asked;                   // machines that must decide again what they take
    Bits awake;                   // machines that may change in this cycle
    Bits asked_ends;              // inputs of the design whose beat may be taken from now on, or not
    Bits flowing;                 // inputs of the design whose beat is taken in this cycle

    bool is_taken(int32_t i) const {
        for (const Reader& r : readers[i])
            if (!(ready[r.machine] >> r.port & 1)) return false;
        return true;
    }

    void wake_readers(int32_t i) {
        for (const Reader& r : readers[i]) awake.set(r.machine);
    }

    void offer(int32_t i, bool value) {
        valid[i] = value;
        for (const Reader& r : readers[i]) {
            awake.set(r.machine);
            if (ops[r.machine].ports > 1) asked.set(r.machine);
        }
    }

    void ask(int32_t i) {
        const bool moved = is_taken(i);
        if (moved != bool(moves[i])) {
            moves[i] = moved;
            awake.set(i);
            wake_readers(i);
        }
        uint64_t there = 0;
        for (int32_t port = 0; port < ops[i].ports; port++)
            there |= uint64_t(valid[ops[i].sources[port]]) << port;
        const uint64_t takes = machines[i].ready(moved, there);
        if (known[i] && takes == ready[i]) return;
        known[i] = 1;
        ready[i] = takes;
        for (int32_t port = 0; port < ops[i].ports; port++) {
            const int64_t s = ops[i].sources[port];
            s < count ? asked.set(s) : asked_ends.set(s - count);
        }
    }

    void ask_end(int32_t i) {
        const bool moved = is_taken(count + i);
        if (moved == bool(moves[count + i])) return;
        moves[count + i] = moved;
        flowing.assign(i, moved && valid[count + i]);
        wake_readers(count + i);
    }
};

}  // namespace

// Returns the cycle in which machine `last` offers its first output, or -1 after `limit` cycles.
extern "C" int64_t bnn2hw_first_output(const Op* ops, int32_t count, int32_t ends, const int64_t* supply,
                                       int32_t last, int64_t limit) {
    Network network(ops, count, ends, supply);
    for (int64_t cycle = 0; cycle < limit; cycle++) {
        network.settle();
        if (network.offers(last)) return cycle;
        network.tick();
    }
    return -1;
}

// Records the cycles in which frames end, and returns their number. A frame ends when each of
// `outputs` machines has handed over its beats of the frame. It stops after `frames` frames, after
// `limit` cycles, or when the state after a frame equals the state after the frame before, which sets
// `steady`.
extern "C" int64_t bnn2hw_frame_ends(const Op* ops, int32_t count, int32_t ends,
                                     const int64_t* supply, int32_t outputs,
                                     const int64_t* machines, const int64_t* beats,
                                     int64_t limit, int64_t frames,
                                     int64_t* recorded, int32_t* steady) {
    Network network(ops, count, ends, supply);
    std::vector<int64_t> before, made(outputs, 0);
    int64_t found = 0;
    *steady = 0;
    for (int64_t cycle = 0; cycle < limit && found < frames && !*steady; cycle++) {
        network.settle();
        bool moved = false, ended = true;
        for (int32_t i = 0; i < outputs; i++) {
            const bool left = network.hands_over(machines[i]);
            made[i] += left;
            moved |= left;
            ended &= made[i] >= (found + 1) * beats[i];
        }
        if (moved && ended) {
            recorded[found++] = cycle;
            std::vector<int64_t> now = network.state();
            *steady = now == before;
            before.swap(now);
        }
        network.tick();
    }
    return found;
}

// Records, by machine and then by input of the design, the cycles in which the first and the last of
// the `beats[i]` beats of the first frame are handed over. Returns false after `limit` cycles.
extern "C" int32_t bnn2hw_first_frame(const Op* ops, int32_t count, int32_t ends, const int64_t* supply,
                                      const int64_t* beats, int64_t limit, int64_t* first, int64_t* last) {
    Network network(ops, count, ends, supply);
    const int32_t all = count + ends;
    std::vector<int64_t> passed(all, 0);
    int32_t left = all;
    for (int64_t cycle = 0; cycle < limit; cycle++) {
        network.settle();
        for (int32_t i = 0; i < all; i++) {
            if (passed[i] == beats[i] || !network.passes(i)) continue;
            if (passed[i]++ == 0) first[i] = cycle;
            if (passed[i] == beats[i]) {
                last[i] = cycle;
                if (--left == 0) return 1;
            }
        }
        network.tick();
    }
    return 0;
}
