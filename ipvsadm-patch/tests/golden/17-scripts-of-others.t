# What Alibaba's and DPVS's scripts say
$ local 10.9.1.1
$ ipvsadm -A -t 10.9.0.1:80 -s rr -j enable
There is no SYN proxy: leave out -j (--synproxy). What a SYN flood can hold is limited by net.ipv4.vs.fullnat_half_open_percent
[2]
$ ipvsadm -E -t 10.9.0.1:80 --synproxy disable
There is no SYN proxy: leave out -j (--synproxy). What a SYN flood can hold is limited by net.ipv4.vs.fullnat_half_open_percent
[2]
$ ipvsadm -A -t 10.9.0.1:80 -s rr
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 -F dpdk0
Note: -F dpdk0 has no effect: the routes of the kernel say where local addresses are used
Note: -t 10.9.0.1:80 is now declared FULLNAT
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
10.9.0.1:80          1        
                              10.9.1.1             0          0          1025-65535  0          0          local
$ ipvsadm --del-laddr -t 10.9.0.1:80 --laddr 10.9.1.1 --ifname dpdk0
Note: -F dpdk0 has no effect: the routes of the kernel say where local addresses are used
Warning: -t 10.9.0.1:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.1:80 -z ADDRESS'
$ ipvsadm -R
< -P -t 10.9.0.1:80 -z 10.9.1.1 -F dpdk0
Note: -F dpdk0 has no effect: the routes of the kernel say where local addresses are used
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 -F ''
Note: -F  has no effect: the routes of the kernel say where local addresses are used
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 -F 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
Note: -F 0123456789abcde has no effect: the routes of the kernel say where local addresses are used
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 -F é
Note: -F é has no effect: the routes of the kernel say where local addresses are used
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 -F dpdk0 -F dpdk1
multiple 'ifname' options specified
[2]
$ ipvsadm -A -t 10.9.0.2:80 -F dpdk0
Illegal 'ifname' option with the 'add-service' command
[2]
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 -F
-F: missing argument
[255]
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 1
# counters
$ ipvsadm -Z -t 10.9.0.1:80
$ ipvsadm -Z
$ ipvsadm -E -t 10.9.0.3:80 --fullnat
Note: IPVS does not have the service -t 10.9.0.3:80 now
Warning: -t 10.9.0.3:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.3:80 -z ADDRESS'
$ ipvsadm -Z -t 10.9.0.3:80
$ ipvsadm -Z -t 10.9.0.4:80
No such service
[255]
# a declaration that no service goes with
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:80 rr
  -> 10.9.2.1:80                  FullNat 1      0          0         
Declared FULLNAT, not in IPVS: -t 10.9.0.3:80
$ ipvsadm -Ln --rate
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
TCP  10.9.0.1:80                         0        0        0        0        0
  -> 10.9.2.1:80                         0        0        0        0        0
$ ipvsadm -D -t 10.9.0.3:80
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.1:80 rr
  -> 10.9.2.1:80                  FullNat 1      0          0         
