// Whether a JPEG has all of its picture.
//
// Most end in a marker, which is looked for first. Where it is missing the compressed data are gone
// through: cameras and transfers lose the marker, or write something else in its place, and
// decoders show such pictures; of a half-written file they leave the lower part as it was in
// memory. References: ITU-T T.81, figures F.12 to F.16 (sequential) and G.3 to G.7 (progressive).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace dynsample::jpeg {

constexpr int kMaxScans = 128;                // ten are usual
constexpr std::int64_t kMaxBlocks = 1 << 24;  // of 8 x 8 pixels; progressive ones take 8 bytes each
constexpr std::int64_t kMostZeros = 8;        // bytes
constexpr std::array<std::uint8_t, 2> kEnd = {0xFF, 0xD9};

// Bytes that come between markers when compressed: stuffing, fill bytes, restarts; and those that
// have no length behind them.
inline bool has_no_length(int low) {
  return low <= 0x01 || low == 0xFF || (low >= 0xD0 && low <= 0xD8);
}

// Bits of compressed data, up to the next marker that is no part of them.
class Bits {
 public:
  Bits(const std::uint8_t* data, std::int64_t size, std::int64_t at)
      : data_(data), size_(size), at_(at) {}

  bool ended() const { return ended_; }
  std::int64_t at() const { return at_; }

  int next() {
    if (!left_ && !fill()) return 0;
    return byte_ >> --left_ & 1;
  }

  // The lowest 31 of these.
  int next(int count) {
    std::uint32_t value = 0;
    for (; count > 0; --count) value = value << 1 | static_cast<std::uint32_t>(next());
    return static_cast<int>(value & 0x7FFFFFFF);
  }

  void fail() { ended_ = true; }

  void restart() {
    left_ = 0;
    while (at_ + 2 < size_ && data_[at_] == 0xFF && data_[at_ + 1] == 0xFF) ++at_;
    const bool is_there = at_ + 1 < size_ && data_[at_] == 0xFF && (data_[at_ + 1] & 0xF8) == 0xD0;
    if (is_there) {
      at_ += 2;
    } else {
      fail();
    }
  }

 private:
  bool fill() {
    const bool stuffed = at_ + 1 < size_ && data_[at_] == 0xFF && data_[at_ + 1] == 0;
    if (ended_ || at_ >= size_ || (data_[at_] == 0xFF && !stuffed)) {
      fail();
      return false;
    }
    byte_ = data_[at_];
    at_ += 1 + stuffed;
    left_ = 8;
    return true;
  }

  const std::uint8_t* data_;
  std::int64_t size_, at_;
  int byte_ = 0, left_ = 0;
  bool ended_ = false;
};

// A Huffman table: the symbols of each length of code follow each other, as their codes do.
class Codes {
 public:
  // Takes `counts` of the 16 lengths, and as many symbols.
  void set(const std::uint8_t* counts, const std::uint8_t* symbols, int number) {
    for (int k = 0; k < 16; ++k) counts_[k] = counts[k];
    symbols_.assign(symbols, symbols + number);
  }

  int next(Bits& bits) const {
    int code = 0, first = 0, place = 0;
    for (const int count : counts_) {
      code = code << 1 | bits.next();
      if (code - first < count) return symbols_[place + code - first];
      place += count;
      first = (first + count) << 1;
    }
    bits.fail();
    return 0;
  }

 private:
  std::array<int, 16> counts_{};
  std::vector<std::uint8_t> symbols_;
};

struct Component {
  int id, horizontal, vertical;          // and its samples to a group of blocks
  std::int64_t wide, high, stride;       // blocks of the picture, and in a row of groups
  std::vector<std::uint64_t> nonzero{};  // of each block of a progressive picture, a bit each
  std::array<int, 64> missing{};         // low bits of each coefficient that no scan gave; -1: all
  int dc = 0, ac = 0;                    // tables in this scan
};

// The parameters of a progressive scan: coefficients [first, last], from bit `low` on; `high` is
// the bit before when it refines.
struct Band {
  int first, last, high, low;
};

// Goes through a file from its beginning; keeps what its headers say.
class Picture {
 public:
  Picture(const std::uint8_t* image, std::int64_t size) : image_(image), size_(size) {}

  bool is_whole() {
    for (std::int64_t at = 2; at + 3 < size_;) {
      const int low = image_[at + 1];
      if (image_[at] != 0xFF || has_no_length(low)) {
        ++at;
        continue;
      }
      const std::int64_t length = word(at + 2), begin = at + 4;
      if (length < 2 || at + 2 + length > size_) return false;
      at += 2 + length;
      if (!take(low, begin, at)) return false;
      if (low == 0xDA && has_all()) return !is_filled_up(at);
    }
    return false;
  }

 private:
  // Whether the value that fills the file behind its picture is in the picture's last bytes too.
  // Zeros are what comes of a file that was given its length and not all of its content, and are
  // valid codes; a whole picture ends in a few of them at most.
  bool is_filled_up(std::int64_t end) const {
    const auto differs = [&](std::uint8_t byte) { return byte != image_[size_ - 1]; };
    return end < size_ && end > kMostZeros &&
           std::none_of(image_ + end - kMostZeros, image_ + size_, differs);
  }

  int word(std::int64_t at) const { return image_[at] << 8 | image_[at + 1]; }

  // Reads the segment of a marker, and of a scan what follows it; moves `end` behind that.
  bool take(int low, std::int64_t begin, std::int64_t& end) {
    const bool is_frame = low >= 0xC0 && low <= 0xCF && low != 0xC4 && low != 0xC8 && low != 0xCC;
    if (low == 0xC4) return take_codes(begin, end);
    if (is_frame) return low <= 0xC2 && take_frame(low == 0xC2, begin, end);
    if (low == 0xDD) {
      if (end - begin < 2) return false;
      interval_ = word(begin);
    }
    return low != 0xDA || take_scan(begin, end);
  }

  bool take_codes(std::int64_t at, std::int64_t end) {
    while (at < end) {
      if (end - at < 17) return false;
      const int place = image_[at], kind = place >> 4, slot = place & 15;
      const std::uint8_t* counts = image_ + at + 1;
      int number = 0;
      for (int k = 0; k < 16; ++k) number += counts[k];
      at += 17;
      if (kind > 1 || slot > 3 || number > 256 || end - at < number) return false;
      codes_[kind][slot].set(counts, image_ + at, number);
      at += number;
    }
    return true;
  }

  bool take_frame(bool progressive, std::int64_t at, std::int64_t end) {
    if (end - at < 6 || !components_.empty()) return false;
    const std::int64_t high = word(at + 1), wide = word(at + 3);
    const int number = image_[at + 5];
    if (!high || !wide || number < 1 || number > 4 || end - at < 6 + 3 * number) return false;
    progressive_ = progressive;
    int most_horizontal = 1, most_vertical = 1;
    for (int c = 0; c < number; ++c) {
      const std::uint8_t* entry = image_ + at + 6 + 3 * c;
      Component one{entry[0], entry[1] >> 4, entry[1] & 15, 0, 0, 0};
      if (one.horizontal < 1 || one.horizontal > 4 || one.vertical < 1 || one.vertical > 4) {
        return false;
      }
      most_horizontal = std::max(most_horizontal, one.horizontal);
      most_vertical = std::max(most_vertical, one.vertical);
      one.missing.fill(-1);
      components_.push_back(one);
    }
    groups_wide_ = up(wide, 8 * most_horizontal), groups_high_ = up(high, 8 * most_vertical);
    std::int64_t blocks = 0;
    for (Component& one : components_) {
      one.wide = up(up(wide * one.horizontal, most_horizontal), 8);
      one.high = up(up(high * one.vertical, most_vertical), 8);
      one.stride = groups_wide_ * one.horizontal;
      blocks += one.stride * groups_high_ * one.vertical;
    }
    if (blocks > kMaxBlocks) return false;
    for (Component& one : components_) {
      if (progressive) one.nonzero.resize(one.stride * groups_high_ * one.vertical);
    }
    return true;
  }

  static std::int64_t up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

  bool take_scan(std::int64_t at, std::int64_t& end) {
    const int number = at < end ? image_[at] : 0;
    if (number < 1 || number > 4 || end - at < 4 + 2 * number || ++scans_ > kMaxScans) return false;
    std::vector<Component*> chosen;
    for (int c = 0; c < number; ++c) {
      const int id = image_[at + 1 + 2 * c], tables = image_[at + 2 + 2 * c];
      for (Component& one : components_) {
        if (one.id != id) continue;
        one.dc = tables >> 4, one.ac = tables & 15;
        chosen.push_back(&one);
        break;
      }
      if (static_cast<int>(chosen.size()) != c + 1 || chosen[c]->dc > 3 || chosen[c]->ac > 3) {
        return false;
      }
    }
    const std::uint8_t* last = image_ + at + 1 + 2 * number;
    Band band{last[0], last[1], last[2] >> 4, last[2] & 15};
    if (!progressive_) band = {0, 63, 0, 0};
    const bool fits =
        band.first <= band.last && band.last < 64 && (band.first || !band.last || !progressive_);
    if (!fits || (band.first && number > 1)) return false;
    Bits bits(image_, size_, end);
    if (!go_through(bits, chosen, band)) return false;
    end = bits.at();
    for (Component* one : chosen) {
      for (int k = band.first; k <= band.last; ++k) one->missing[k] = band.low;
    }
    return true;
  }

  bool go_through(Bits& bits, const std::vector<Component*>& chosen, const Band& band) {
    const bool alone = chosen.size() == 1;
    const std::int64_t wide = alone ? chosen[0]->wide : groups_wide_;
    const std::int64_t count = wide * (alone ? chosen[0]->high : groups_high_);
    run_ = 0;
    for (std::int64_t group = 0; group < count && !bits.ended(); ++group) {
      if (interval_ && group && group % interval_ == 0) {
        bits.restart();
        run_ = 0;
      }
      const std::int64_t row = group / wide, column = group % wide;
      for (Component* one : chosen) {
        const int high = alone ? 1 : one->vertical, across = alone ? 1 : one->horizontal;
        for (int y = 0; y < high; ++y) {
          for (int x = 0; x < across; ++x) {
            block(bits, *one, (row * high + y) * one->stride + column * across + x, band);
          }
        }
      }
    }
    return !bits.ended();
  }

  void block(Bits& bits, Component& one, std::int64_t place, const Band& band) {
    if (!progressive_) {
      sequential(bits, one);
    } else if (!band.first) {
      bits.next(band.high ? 1 : codes_[0][one.dc].next(bits));
    } else if (!band.high) {
      first(bits, codes_[1][one.ac], one.nonzero[place], band);
    } else {
      refine(bits, codes_[1][one.ac], one.nonzero[place], band);
    }
  }

  void sequential(Bits& bits, const Component& one) const {
    bits.next(codes_[0][one.dc].next(bits));
    for (int k = 1; k < 64 && !bits.ended(); ++k) {
      const int symbol = codes_[1][one.ac].next(bits), zeros = symbol >> 4;
      if (!(symbol & 15) && zeros != 15) break;
      k += zeros;
      bits.next(symbol & 15);
    }
  }

  // The first scan of a band: values, and runs of blocks without any.
  void first(Bits& bits, const Codes& codes, std::uint64_t& nonzero, const Band& band) {
    if (run_) {
      --run_;
      return;
    }
    for (int k = band.first; k <= band.last && !bits.ended(); ++k) {
      const int symbol = codes.next(bits), zeros = symbol >> 4;
      if (!(symbol & 15) && zeros != 15) {
        run_ = (1 << zeros) - 1 + bits.next(zeros);
        return;
      }
      k += zeros;
      bits.next(symbol & 15);
      if ((symbol & 15) && k <= band.last) nonzero |= std::uint64_t{1} << k;
    }
  }

  // A later scan of it: a bit for each value there is, and new ones.
  void refine(Bits& bits, const Codes& codes, std::uint64_t& nonzero, const Band& band) {
    int k = band.first;
    const auto is_there = [&](int place) { return nonzero >> place & 1; };
    for (; !run_ && k <= band.last && !bits.ended(); ++k) {
      const int symbol = codes.next(bits);
      int zeros = symbol >> 4;
      if (!(symbol & 15) && zeros != 15) {
        run_ = (1 << zeros) + bits.next(zeros);
        break;
      }
      if (symbol & 15) bits.next();
      for (; k <= band.last && (is_there(k) || zeros-- > 0); ++k) {
        if (is_there(k)) bits.next();
      }
      if ((symbol & 15) && k <= band.last) nonzero |= std::uint64_t{1} << k;
    }
    if (!run_) return;
    for (; k <= band.last; ++k) {
      if (is_there(k)) bits.next();
    }
    --run_;
  }

  bool has_all() const {
    for (const Component& one : components_) {
      for (const int bits : one.missing) {
        if (bits) return false;
      }
    }
    return !components_.empty();
  }

  const std::uint8_t* image_;
  std::int64_t size_, groups_wide_ = 0, groups_high_ = 0;
  std::vector<Component> components_{};
  std::array<std::array<Codes, 4>, 2> codes_{};  // of DC and of AC
  bool progressive_ = false;
  int interval_ = 0, scans_ = 0, run_ = 0;
};

// Whether an end marker is where one can be. Bytes after it are common, and right, so a file is
// searched from its beginning.
inline bool has_end(const std::uint8_t* image, std::int64_t size) {
  if (image[size - 2] == kEnd[0] && image[size - 1] == kEnd[1]) return true;
  for (std::int64_t at = 2; at + 1 < size;) {
    const int low = image[at + 1];
    if (image[at] != 0xFF || has_no_length(low)) {
      ++at;
    } else if (low == kEnd[1]) {
      return true;
    } else if (at + 3 < size) {
      at += 2 + (image[at + 2] << 8 | image[at + 3]);  // a segment begins with its length
    } else {
      return false;
    }
  }
  return false;
}

// Whether this is a JPEG of which a part of the picture is missing.
inline bool is_cut_short(const std::uint8_t* image, std::int64_t size) {
  if (size < 2 || image[0] != 0xFF || image[1] != 0xD8) return false;
  return size < 4 || !(has_end(image, size) || Picture(image, size).is_whole());
}

}  // namespace dynsample::jpeg
