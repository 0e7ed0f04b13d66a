// SPDX-License-Identifier: Apache-2.0
// What the pickle machine does for each opcode.
#include <bit>

#include <fmt/format.h>

#include "io/pickle_machine.h"
#include "io/pickle_opcodes.h"

namespace galette::io {
namespace {

constexpr uint64_t kOldestProtocol = 2, kNewestProtocol = 5;

}  // namespace

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

}  // namespace galette::io
