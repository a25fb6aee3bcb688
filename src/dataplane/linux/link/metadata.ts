/** What operations on a link's ends need. */
export interface LinkMetadata {
  /** Index of the node's end. */
  readonly nodeIndex: number;
  /** The other end of a pod's veth. */
  readonly pod?: { readonly netns: string; readonly index: number };
}
