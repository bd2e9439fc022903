package main

import (
	"fmt"
	"strings"

	"github.com/transparency-dev/tessera"
)

// policy parses a policy. Of logs and URLs Tessera keeps nothing that could be compared.
func policy(fields [][]byte) []opinion {
	group, err := tessera.NewWitnessGroupFromPolicy(fields[0])
	if err != nil {
		return []opinion{{"tessera", refused}}
	}
	return []opinion{{"tessera", "ok " + quorum(group)}}
}

// quorumMet says whether a note, the second field, has the cosignatures that a policy asks for.
func quorumMet(fields [][]byte) []opinion {
	group, err := tessera.NewWitnessGroupFromPolicy(fields[0])
	if err != nil {
		return []opinion{{"tessera", refused}}
	}
	return []opinion{{"tessera", fmt.Sprintf("ok %t", group.Satisfied(fields[1]))}}
}

func quorum(component any) string {
	switch c := component.(type) {
	case tessera.Witness:
		return fmt.Sprintf("%x:%08x", c.Key.Name(), c.Key.KeyHash())
	case tessera.WitnessGroup:
		members := make([]string, len(c.Components))
		for i, member := range c.Components {
			members[i] = quorum(member)
		}
		return fmt.Sprintf("%d(%s)", c.N, strings.Join(members, " "))
	default:
		panic(fmt.Sprintf("%T in a policy", component))
	}
}
