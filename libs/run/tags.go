package run

// BuildTags are what every program of ours is built with, by whatever builds them: the Makefile reads them here. Without
// them a program works the same. grpc, which comes with the exporter of traces, would bring pages with templates, which find
// methods by name, so that the linker must keep all there are: a third of the program (ADR 83). Where there is a C compiler, net and
// os/user would bring libc, which images never have, and two megabytes of memory (ADR 89).
const BuildTags = "grpcnotrace,netgo,osusergo"
