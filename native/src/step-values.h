// Steps and their outcomes as JavaScript has them.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "steps.h"

namespace heddle {

// Each throws Napi::TypeError for what is none.
std::string PathOf(Napi::Env env, const Napi::Value& value);
int ProtocolOf(Napi::Env env, const Napi::Value& value);
std::vector<Step> StepsOf(Napi::Env env, const Napi::Array& list);

// (Buffer | Error)[]
Napi::Value ResultsToJs(Napi::Env env, const std::vector<StepResult>& results);

}  // namespace heddle
