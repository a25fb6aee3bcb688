// One request to the agent: HTTP/1.1 over its Unix socket, one connection per operation.
#pragma once

#include <cstddef>
#include <string_view>

#include "text.h"

namespace heddle {

struct AgentRequest {
  const char* socketPath;
  // The whole head, up to and with the empty line.
  std::string_view head;
  std::string_view body;
  long deadlineMs;
};

struct AgentAnswer {
  enum class Outcome {
    Answered,
    // Nobody listens: there is no socket, or nothing behind it.
    Absent,
    // It listened and went away, or the answer stopped in the middle.
    Died,
    TimedOut,
    // We were asked to stop.
    Stopped,
    // What came is not an answer of the agent.
    Garbage,
    // The system refused something of ours; `why` has its words.
    Failed,
  };
  Outcome outcome = Outcome::Failed;
  // For people; empty when answered.
  Text<512> why;
  int status = 0;
  bool json = false;
  std::string_view body;
};

// Sends and waits. The answer's body lives in static memory until the next call.
void askAgent(const AgentRequest& request, AgentAnswer& answer);

}  // namespace heddle
