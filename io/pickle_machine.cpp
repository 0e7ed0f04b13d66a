// SPDX-License-Identifier: Apache-2.0
#include "io/pickle_machine.h"

#include <fmt/format.h>

#include "io/check.h"
#include "io/pickle_opcodes.h"

namespace galette::io {
namespace {

constexpr size_t kMaxValues = 2'000'000;  // far more than networks make

}  // namespace

const PickleValue* PickleValue::find(const std::string& key) const {
  const PickleValue* dict = is(Kind::object) ? state : this;
  if (dict == nullptr || !dict->is(Kind::dict)) return nullptr;
  const auto& entries = dict->items;
  for (size_t i = 0; i + 1 < entries.size(); i += 2)
    if ((entries[i]->is(Kind::text) || entries[i]->is(Kind::bytes)) && entries[i]->text == key)
      return entries[i + 1];
  return nullptr;
}

PickleValue* PickleArena::make(PickleValue::Kind kind) {
  if (values_.size() >= kMaxValues)
    throw InputError(fmt::format("{}: refused: it makes more than {} values", name_, kMaxValues));
  values_.emplace_back().kind = kind;
  return &values_.back();
}

void PickleMachine::damaged(const std::string& what) const {
  throw DamagedFile(fmt::format("{}: not a valid pickle: {}", name_, what));
}

void PickleMachine::refuse(const std::string& what) const {
  throw InputError(fmt::format("{}: refused: {}, which no network file needs; nothing was executed",
                               name_, what));
}

PickleMachine::Bytes PickleMachine::take(uint64_t count) {
  if (count > rest_.size()) damaged("it ends too early");
  const Bytes taken = rest_.first(static_cast<size_t>(count));
  rest_ = rest_.subspan(static_cast<size_t>(count));
  return taken;
}

/// Little-endian.
uint64_t PickleMachine::take_number(int bytes) {
  uint64_t number = 0;
  const Bytes taken = take(static_cast<uint64_t>(bytes));
  for (size_t i = taken.size(); i-- > 0;) number = number << 8 | taken[i];
  return number;
}

std::string PickleMachine::take_line() {
  std::string line;
  for (uint8_t byte = take(1)[0]; byte != '\n'; byte = take(1)[0])
    line.push_back(static_cast<char>(byte));
  return line;
}

PickleValue* PickleMachine::push(Kind kind) {
  stack_.push_back(arena_.make(kind));
  return stack_.back();
}

PickleValue* PickleMachine::pop() {
  if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back()))
    damaged("its stack runs empty");
  PickleValue* value = stack_.back();
  stack_.pop_back();
  return value;
}

PickleValue& PickleMachine::top(Kind kind) {
  if (stack_.empty() || !stack_.back()->is(kind)) damaged("a container is missing");
  return *stack_.back();
}

std::vector<PickleValue*> PickleMachine::pop_to_mark() {
  if (marks_.empty()) damaged("a mark is missing");
  const auto first = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
  std::vector<PickleValue*> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

PickleValue* PickleMachine::load() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  for (;;) {
    const uint8_t opcode = take(1)[0];
    if (opcode == kStop) return pop();
    if (!step(opcode)) refuse(fmt::format("it uses opcode 0x{:02x}", opcode));
  }
}

/// Two's complement, little-endian. Longer ones than fit 64 bits are kept as bytes: the one that
/// files hold is a magic number.
void PickleMachine::push_long(int length_bytes) {
  const Bytes bytes = take(take_number(length_bytes));
  if (bytes.size() > 8) {
    push(Kind::bytes)->text.assign(bytes.begin(), bytes.end());
    return;
  }
  uint64_t number = !bytes.empty() && (bytes.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) number = number << 8 | bytes[i];
  push(Kind::integer)->integer = static_cast<int64_t>(number);
}

void PickleMachine::push_text(Kind kind, int length_bytes) {
  const Bytes bytes = take(take_number(length_bytes));
  push(kind)->text.assign(bytes.begin(), bytes.end());
}

void PickleMachine::push_tuple(std::vector<PickleValue*> items) {
  push(Kind::tuple)->items = std::move(items);
}

void PickleMachine::set_items(const std::vector<PickleValue*>& items) {
  if (items.size() % 2 != 0) damaged("a key has no value");
  auto& into = top(Kind::dict).items;
  into.insert(into.end(), items.begin(), items.end());
}

void PickleMachine::put(uint64_t index) {
  if (stack_.empty()) damaged("its stack runs empty");
  memo_[index] = stack_.back();
}

void PickleMachine::get(uint64_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) damaged("it refers to what was never stored");
  stack_.push_back(found->second);
}

void PickleMachine::push_global(const std::string& module, const std::string& name) {
  if (!is_allowed_global(names_, module, name)) refuse(fmt::format("it names {}.{}", module, name));
  push(Kind::global)->text = module + " " + name;
}

PickleValue* PickleMachine::pop_global() {
  PickleValue* global = pop();
  if (!global->is(Kind::global)) damaged("what is to be made has no name");
  return global;
}

void PickleMachine::reduce() {
  PickleValue* arguments = pop();
  if (!arguments->is(Kind::tuple)) damaged("arguments are not a tuple");
  const PickleValue* global = pop_global();
  stack_.push_back(apply_global(*global, arguments, arena_, name_));
}

/// State for what was made last: of an object to keep, of a dictionary nothing that matters.
void PickleMachine::build() {
  PickleValue* state = pop();
  if (stack_.empty()) damaged("its stack runs empty");
  PickleValue& target = *stack_.back();
  if (target.is(Kind::object)) {
    target.state = state;
  } else if (!target.is(Kind::dict)) {
    damaged("a plain value gets a state");
  }
}

}  // namespace galette::io
