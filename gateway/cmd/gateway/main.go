// Command gateway is Cloakroom's one door. `gateway help` lists its commands.
package main

import (
	"cloakroom.dev/gateway"
	"cloakroom.dev/k8s/crdsource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/run"
)

func main() {
	admit.Main()
	run.Main("gateway", "Cloakroom's gateway: it verifies access tokens, limits and routes, and passes on only what may pass.", gateway.Commands(crdsource.Scheme())...)
}
