/**
 * Families of which VPP punts UDP to unknown ports, from `show udp punt` (udp_cli.c of VPP 26.06; where the switch is
 * off, the ports that something listens at are listed):
 *
 *     IPv4 UDP punt: enabled
 *     IPV6 UDP ports punt : 546, 547
 *
 * Throws where it finds neither for a family.
 */
export function parseUdpPunt(text: string): readonly (4 | 6)[] {
  return ([4, 6] as const).filter((family) => {
    const enabled = new RegExp(`^IPv${family} UDP punt: enabled\\s*$`, "m").test(text);
    const listed = new RegExp(`^IPV${family} UDP ports punt :`, "m").test(text);
    if (!enabled && !listed) throw new Error(`show udp punt says nothing of IPv${family}: ${JSON.stringify(text)}`);
    return enabled;
  });
}
