// Command auth-svc is the auth service alone: it serves what the gateway forwards to it, and tells gateways and services
// what no longer holds.
package main

import (
	"cloakroom.dev/k8s/crdsource"
	"cloakroom.dev/k8s/makesecrets"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/run"

	authsvc "cloakroom.dev/auth-svc"
)

func main() {
	admit.Main()
	authsvc.HelpHashing()
	run.Main("auth-svc", "auth-svc keeps people, their sessions and keys, and the log of what no longer holds.", append(authsvc.Commands(crdsource.Scheme()), makesecrets.Command(crdsource.ClusterConfig))...)
}
