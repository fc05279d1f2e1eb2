// Command gateway is Cloakroom's one door. `gateway help` lists its commands.
package main

import (
	"cloakroom.dev/gateway"
	"cloakroom.dev/k8s/crdsource"
	"cloakroom.dev/libs/run"
)

func main() {
	run.Main("gateway", "Cloakroom's gateway: it verifies the ticket, and passes on only those who may.", gateway.Commands(crdsource.Scheme())...)
}
