import { InvalidArgumentError, Option } from "commander";
import { OUTPUT_FORMATS } from "./output.ts";

/** `-o table|json|yaml`, the same for every command that prints data. */
export const outputOption = (): Option =>
  new Option("-o, --output <format>", "how to print").choices([...OUTPUT_FORMATS]).default("table");

/** Parses a whole number within bounds, for an option. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < min || n > max) {
      throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`);
    }
    return n;
  };
