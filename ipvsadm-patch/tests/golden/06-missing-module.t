# Without the module, everything that needs it says how to get it
$ module missing
$ ipvsadm -A -t 10.9.0.1:80 --fullnat
ipvsadm: FULLNAT needs the kernel module ip_vs_fullnat, which could not be loaded: run `modprobe ip_vs_fullnat' to see why; it is in the package ip-vs-fullnat-dkms
[2]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat
ipvsadm: FULLNAT needs the kernel module ip_vs_fullnat, which could not be loaded: run `modprobe ip_vs_fullnat' to see why; it is in the package ip-vs-fullnat-dkms
[2]
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1
ipvsadm: FULLNAT needs the kernel module ip_vs_fullnat, which could not be loaded: run `modprobe ip_vs_fullnat' to see why; it is in the package ip-vs-fullnat-dkms
[2]
$ ipvsadm -Q -t 10.9.0.1:80 -z 10.9.1.1
ipvsadm: FULLNAT needs the kernel module ip_vs_fullnat, which could not be loaded: run `modprobe ip_vs_fullnat' to see why; it is in the package ip-vs-fullnat-dkms
[2]
$ ipvsadm -G
ipvsadm: FULLNAT needs the kernel module ip_vs_fullnat, which could not be loaded: run `modprobe ip_vs_fullnat' to see why; it is in the package ip-vs-fullnat-dkms
[2]
$ ipvsadm -A -t 10.9.0.1:80 -s rr
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b
ipvsadm: FULLNAT needs the kernel module ip_vs_fullnat, which could not be loaded: run `modprobe ip_vs_fullnat' to see why; it is in the package ip-vs-fullnat-dkms
[2]
# and the rest is as ever
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.2:80 -m
$ ipvsadm -E -t 10.9.0.1:80 -s wlc
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:80 wlc
  -> 10.9.2.1:80                  Route   1      0          0         
  -> 10.9.2.2:80                  Masq    1      0          0         
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s wlc
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -g -w 1
-a -t 10.9.0.1:80 -r 10.9.2.2:80 -m -w 1
$ ipvsadm -R
< -A -t 10.9.0.2:80 -s rr
< -a -t 10.9.0.2:80 -r 10.9.2.1:80 -g
$ ipvsadm -D -t 10.9.0.1:80
$ ipvsadm -D -t 10.9.0.1:80
No such service
[255]
$ ipvsadm -C
$ ipvsadm -Sn
