import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { badInput, verificationFailed } from "../../converters/errors.ts";
import type { NamedSet } from "./records.ts";

const digest = z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/) });
const resource = z.strictObject({
  name: z.string(),
  digest,
  annotations: z.record(z.string(), z.unknown()).optional(),
});
const namedSet = z.strictObject({
  samples: z.number().int(),
  hmacSha256: z.string(),
  records: z.array(z.string()).optional(),
});

/**
 * An in-toto Statement v1 with a SLSA provenance v1 predicate: subject = the new model, resolved dependency =
 * the old one.
 * `integrity` covers every other byte of the receipt.
 */
export const receiptSchema = z
  .strictObject({
    _type: z.literal("https://in-toto.io/Statement/v1"),
    subject: z.array(resource).min(1),
    predicateType: z.literal("https://slsa.dev/provenance/v1"),
    predicate: z.strictObject({
      buildDefinition: z.strictObject({
        buildType: z.literal("urn:onnx-unlearn:pipeline:v1"),
        externalParameters: z.strictObject({
          options: z.record(z.string(), z.unknown()),
          data: z
            .record(z.string(), namedSet)
            .nullable()
            .meta({ description: "HMAC-SHA256 under the user's key; null without a key." }),
        }),
        internalParameters: z.strictObject({
          seed: z.number().int(),
          threads: z.number().int(),
          versions: z.record(z.string(), z.string()),
        }),
        resolvedDependencies: z.array(resource).min(1),
      }),
      runDetails: z.strictObject({
        builder: z.strictObject({ id: z.string(), version: z.record(z.string(), z.string()) }),
        metadata: z.strictObject({
          invocationId: z.string(),
          startedOn: z.iso.datetime(),
          finishedOn: z.iso.datetime(),
        }),
        byproducts: z.array(resource).meta({ description: "Reports; the first one carries the verdict." }),
      }),
      integrity: z.strictObject({
        sha256: z.string(),
        hmacSha256: z.string().nullable().meta({ description: "Under the user's key; null without one." }),
      }),
    }),
  })
  .meta({ title: "onnx-unlearn receipt" });
export type Receipt = z.infer<typeof receiptSchema>;
export type Resource = z.infer<typeof resource>;

/** What a receipt is made from; clocks and random ids come from the rim. */
export interface ReceiptFacts {
  readonly subject: readonly Resource[];
  readonly dependencies: readonly Resource[];
  readonly byproducts: readonly Resource[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly data: Readonly<Record<string, NamedSet>> | null;
  readonly seed: number;
  readonly threads: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly invocationId: string;
  readonly startedOn: string;
  readonly finishedOn: string;
}

const serialise = (receipt: Receipt): string => `${JSON.stringify(receipt, null, 2)}\n`;

const withIntegrity = (receipt: Receipt, integrity: Receipt["predicate"]["integrity"]): Receipt => ({
  ...receipt,
  predicate: { ...receipt.predicate, integrity },
});

/** HMAC of the receipt without its codes, and the digest of it with that HMAC. */
function codes(receipt: Receipt, key: Buffer | undefined): Receipt["predicate"]["integrity"] {
  const bare = serialise(withIntegrity(receipt, { sha256: "", hmacSha256: null }));
  const hmacSha256 = key
    ? createHmac("sha256", key).update(bare).digest("hex")
    : receipt.predicate.integrity.hmacSha256;
  const sealed = serialise(withIntegrity(receipt, { sha256: "", hmacSha256 }));
  return { sha256: createHash("sha256").update(sealed).digest("hex"), hmacSha256 };
}

/** The receipt's text; what is written is what is checked, byte for byte. */
export function receiptText(facts: ReceiptFacts, key: Buffer | undefined): string {
  const { subject, dependencies, byproducts, options, data, seed, threads, versions } = facts;
  const { invocationId, startedOn, finishedOn } = facts;
  const version = versions.onnxUnlearn ?? "";
  const receipt: Receipt = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [...subject],
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "urn:onnx-unlearn:pipeline:v1",
        externalParameters: {
          options: { ...options },
          data:
            data &&
            Object.fromEntries(
              Object.entries(data).map(([name, { records, ...set }]) => [
                name,
                { ...set, ...(records ? { records: [...records] } : {}) },
              ]),
            ),
        },
        internalParameters: { seed, threads, versions: { ...versions } },
        resolvedDependencies: [...dependencies],
      },
      runDetails: {
        builder: { id: "urn:onnx-unlearn:cli", version: { "onnx-unlearn": version } },
        metadata: { invocationId, startedOn, finishedOn },
        byproducts: [...byproducts],
      },
      integrity: { sha256: "", hmacSha256: null },
    },
  };
  // Through JSON first: what has no place there (undefined) must not count.
  const plain = JSON.parse(JSON.stringify(receipt)) as Receipt;
  return serialise(withIntegrity(plain, codes(plain, key)));
}

const same = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/**
 * Reads a receipt and checks it against itself: its form, its own digest and, with the key, its HMAC.
 * @throws badInput RECEIPT_INVALID (exit 2) for what is no receipt; verificationFailed RECEIPT_CHANGED (exit
 *   4)
 */
export function readReceipt(text: string, path: string, key: Buffer | undefined): Receipt {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw verificationFailed(
      "RECEIPT_CHANGED",
      `${path} is no JSON any more; take the receipt as the pipeline wrote it.`,
    );
  }
  const result = receiptSchema.safeParse(parsed);
  if (!result.success) {
    const { path: where, message } = result.error.issues[0]!;
    const sentence = `${path} is not a receipt of onnx-unlearn run: at "${where.join(".")}": ${message}`;
    // A document of another kind is a mistake in the arguments; a receipt with a field out of form was
    // changed.
    const started = typeof parsed === "object" && parsed !== null && "predicate" in parsed;
    throw started ? verificationFailed("RECEIPT_CHANGED", sentence) : badInput("RECEIPT_INVALID", sentence);
  }
  const receipt = parsed as Receipt;
  const { integrity } = receipt.predicate;
  if (serialise(receipt) !== text || !same(integrity.sha256, codes(receipt, undefined).sha256))
    throw verificationFailed(
      "RECEIPT_CHANGED",
      `${path} was changed after it was written: it does not have its own digest.`,
    );
  if (key && integrity.hmacSha256 === null)
    throw verificationFailed("RECEIPT_UNKEYED", `${path} was written without a key; check it without one.`);
  if (key && !same(integrity.hmacSha256!, codes(receipt, key).hmacSha256!))
    throw verificationFailed(
      "RECEIPT_CHANGED",
      `${path} was not written under this key, or it was changed since.`,
    );
  return receipt;
}
