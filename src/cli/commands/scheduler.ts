import { Command } from "commander";
import { addActingCommands } from "../scheduler/acting.ts";
import { graphCommand } from "../scheduler/graph.ts";
import { lookingCommands } from "../scheduler/looking.ts";

/** `heddlectl scheduler …`: an agent's scheduler, over its REST. */
export function schedulerCommand(): Command {
  const scheduler = new Command("scheduler").description("an agent's scheduler: what it did, what it holds, and why");
  for (const command of lookingCommands()) scheduler.addCommand(command);
  scheduler.addCommand(graphCommand());
  addActingCommands(scheduler);
  return scheduler;
}
