// SPDX-License-Identifier: Apache-2.0
#include "io/pickle_machine.h"

#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "io/check.h"

namespace galette::io {
namespace {

constexpr size_t kMaxValues = 20'000'000;
constexpr int kOldestProtocol = 2, kNewestProtocol = 5;

/// Opcodes, as Python's module pickletools names them.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kEmptyList = ']',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

}  // namespace

const PickleValue* PickleValue::find(const std::string& key) const {
  if (kind == Kind::object) return state != nullptr ? state->find(key) : nullptr;
  if (kind != Kind::dict) return nullptr;
  for (size_t i = 0; i + 1 < items.size(); i += 2)
    if ((items[i]->is(Kind::text) || items[i]->is(Kind::bytes)) && items[i]->text == key)
      return items[i + 1];
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

bool PickleMachine::step(uint8_t opcode) {
  return step_value(opcode) || step_text(opcode) || step_container(opcode) || step_memo(opcode) ||
         step_object(opcode);
}

bool PickleMachine::step_value(uint8_t opcode) {
  switch (opcode) {
    case kProto: {
      const uint64_t protocol = take_number(1);
      if (protocol < kOldestProtocol || protocol > kNewestProtocol)
        refuse(fmt::format("it has protocol {}", protocol));
      return true;
    }
    case kFrame:
      if (take_number(8) > rest_.size()) damaged("it ends too early");
      return true;
    case kNone:
      push(Kind::none);
      return true;
    case kNewTrue:
    case kNewFalse:
      push(Kind::boolean)->integer = opcode == kNewTrue ? 1 : 0;
      return true;
    case kBinInt:
      push(Kind::integer)->integer = static_cast<int32_t>(take_number(4));
      return true;
    case kBinInt1:
    case kBinInt2:
      push(Kind::integer)->integer = static_cast<int64_t>(take_number(opcode == kBinInt1 ? 1 : 2));
      return true;
    case kLong1:
    case kLong4:
      push_long(opcode == kLong1 ? 1 : 4);
      return true;
    case kBinFloat: {
      uint64_t bits = 0;  // the high byte comes first
      for (const uint8_t byte : take(8)) bits = bits << 8 | byte;
      push(Kind::real)->real = std::bit_cast<double>(bits);
      return true;
    }
    default:
      return false;
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

bool PickleMachine::step_text(uint8_t opcode) {
  switch (opcode) {
    case kBinUnicode:
      push_text(Kind::text, 4);
      return true;
    case kShortBinUnicode:
      push_text(Kind::text, 1);
      return true;
    case kBinUnicode8:
      push_text(Kind::text, 8);
      return true;
    case kBinBytes:
    case kBinString:
      push_text(Kind::bytes, 4);
      return true;
    case kShortBinBytes:
    case kShortBinString:
      push_text(Kind::bytes, 1);
      return true;
    case kBinBytes8:
      push_text(Kind::bytes, 8);
      return true;
    default:
      return false;
  }
}

void PickleMachine::push_text(Kind kind, int length_bytes) {
  const Bytes bytes = take(take_number(length_bytes));
  push(kind)->text.assign(bytes.begin(), bytes.end());
}

bool PickleMachine::step_container(uint8_t opcode) {
  switch (opcode) {
    case kMark:
      marks_.push_back(stack_.size());
      return true;
    case kPop:
      pop();
      return true;
    case kPopMark:
      pop_to_mark();
      return true;
    case kDup: {
      PickleValue* value = pop();
      stack_.push_back(value);
      stack_.push_back(value);
      return true;
    }
    case kEmptyList:
      push(Kind::list);
      return true;
    case kEmptyDict:
      push(Kind::dict);
      return true;
    case kEmptySet:
      push(Kind::set);
      return true;
    case kEmptyTuple:
      push(Kind::tuple);
      return true;
    case kTuple:
      push_tuple(pop_to_mark());
      return true;
    case kTuple1:
    case kTuple2:
    case kTuple3: {
      std::vector<PickleValue*> items(size_t(opcode) - kTuple1 + 1);
      for (size_t i = items.size(); i-- > 0;) items[i] = pop();
      push_tuple(std::move(items));
      return true;
    }
    case kAppend: {
      PickleValue* item = pop();
      top(Kind::list).items.push_back(item);
      return true;
    }
    case kAppends:
    case kAddItems: {
      const auto items = pop_to_mark();
      auto& into = top(opcode == kAppends ? Kind::list : Kind::set).items;
      into.insert(into.end(), items.begin(), items.end());
      return true;
    }
    case kFrozenSet: {
      auto items = pop_to_mark();
      push(Kind::set)->items = std::move(items);
      return true;
    }
    case kSetItem: {
      PickleValue* value = pop();
      PickleValue* key = pop();
      set_items({key, value});
      return true;
    }
    case kSetItems:
      set_items(pop_to_mark());
      return true;
    default:
      return false;
  }
}

void PickleMachine::push_tuple(std::vector<PickleValue*> items) {
  push(Kind::tuple)->items = std::move(items);
}

void PickleMachine::set_items(const std::vector<PickleValue*>& items) {
  if (items.size() % 2 != 0) damaged("a key has no value");
  auto& into = top(Kind::dict).items;
  into.insert(into.end(), items.begin(), items.end());
}

bool PickleMachine::step_memo(uint8_t opcode) {
  switch (opcode) {
    case kMemoize:
      put(memo_.size());
      return true;
    case kBinPut:
      put(take_number(1));
      return true;
    case kLongBinPut:
      put(take_number(4));
      return true;
    case kBinGet:
      get(take_number(1));
      return true;
    case kLongBinGet:
      get(take_number(4));
      return true;
    default:
      return false;
  }
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

bool PickleMachine::step_object(uint8_t opcode) {
  switch (opcode) {
    case kGlobal: {
      const std::string module = take_line();
      push_global(module, take_line());
      return true;
    }
    case kStackGlobal: {
      const PickleValue* name = pop();
      const PickleValue* module = pop();
      if (!name->is(Kind::text) || !module->is(Kind::text)) damaged("a name is not a text");
      push_global(module->text, name->text);
      return true;
    }
    case kReduce:
    case kNewObj:
      reduce();
      return true;
    case kNewObjEx:
      if (!pop()->items.empty()) refuse("it makes an object with named arguments");
      reduce();
      return true;
    case kBuild:
      build();
      return true;
    case kBinPersId: {
      if (!resolve_) refuse("it refers to data outside");
      const PickleValue* reference = pop();
      stack_.push_back(resolve_(*reference));
      return true;
    }
    default:
      return false;
  }
}

void PickleMachine::push_global(const std::string& module, const std::string& name) {
  // A pickle inside a pickle describes one storage; more could be nested without end.
  if (resolve_ ? !storage_type(module, name) : !is_known_global(module, name))
    refuse(fmt::format("it names {}.{}", module, name));
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
