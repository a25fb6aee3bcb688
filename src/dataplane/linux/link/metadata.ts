/** What operations on a link's ends need. */
export interface LinkMetadata {
  /** Index of the node's end; absent for a pod's tap. */
  readonly nodeIndex?: number;
  /** The other end of a pod's veth, or its tap. */
  readonly pod?: { readonly netns: string; readonly index: number };
}
