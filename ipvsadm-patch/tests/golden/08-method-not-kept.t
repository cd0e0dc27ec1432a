# fake: a kernel that does not keep the method
$ method dropped
$ ipvsadm -A -t 10.9.0.1:80 -s rr
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b
IPVS in this kernel does not accept the forwarding method FULLNAT
[255]
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:80 rr
