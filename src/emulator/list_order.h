// The order in which links send the messages of a list.
#pragma once

#include "slicewise/emulator/schedule.h"

namespace slicewise::emulator {

// Reorders the list so that whenever a link is free it sends, of the messages that can go, the one
// that stood first; messages are in the order they start (no hop latency).
void OrderByStart(MessageList& list);

}  // namespace slicewise::emulator
