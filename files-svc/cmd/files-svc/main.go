// Command files-svc is the files service alone: it serves what the gateway forwards to it.
package main

import (
	filessvc "cloakroom.dev/files-svc"
	"cloakroom.dev/k8s/crdsource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/run"
)

func main() {
	admit.Main()
	run.Main("files-svc", "files-svc keeps people's files and gives them back to nobody else.", filessvc.Commands(crdsource.Scheme())...)
}
