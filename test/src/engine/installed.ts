import type { EngineName } from "../../../src/engine/engine.ts";
import { getEngine } from "../../../src/engine/index.ts";

/**
 * The named engines that are installed here; logs those left out. @throws if one is installed but does not
 * load
 */
export async function installed<E extends EngineName>(...names: readonly E[]): Promise<readonly E[]> {
  const found: E[] = [];
  for (const name of names)
    try {
      await getEngine(name);
      found.push(name);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      if (code !== "ENGINE_MISSING") throw error;
      console.log(`skipped on ${name}: ${message}`);
    }
  return found;
}
