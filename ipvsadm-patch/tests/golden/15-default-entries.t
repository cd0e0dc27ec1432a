# Default entries
$ local 10.9.1.1 fd00::1
$ ipvsadm -E --vips 10.9.0.0/24 --fullnat --toa 254
Warning: --vips 10.9.0.0/24 has no local address: its connections will be dropped until one is added, by `ipvsadm -P --vips 10.9.0.0/24 -z ADDRESS'
$ ipvsadm -A --vips 10.9.0.0/28 --fullnat
Warning: --vips 10.9.0.0/28 has no local address: its connections will be dropped until one is added, by `ipvsadm -P --vips 10.9.0.0/28 -z ADDRESS'
$ ipvsadm -P --vips 10.9.0.0/24 -z 10.9.1.1
# -P declares services, and no default entry: it would make any number of them FULLNAT
$ ipvsadm -P --vips 10.9.0.0/16 -z 10.9.1.1
the service is not declared FULLNAT: declare it with ipvsadm -A ... --fullnat
[255]
$ ipvsadm -E --vips 2001:db8::/64 --fullnat --toa off
Warning: --vips 2001:db8::/64 has no local address: its connections will be dropped until one is added, by `ipvsadm -P --vips 2001:db8::/64 -z ADDRESS'
$ ipvsadm -P --vips 2001:db8::/64 -z fd00::1
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
10.9.0.0/24          1        
                              10.9.1.1             0          0          1025-65535  0          0          local
10.9.0.0/28          0        
2001:db8::/64        1        
                              fd00::1              0          0          1025-65535  0          0          local
$ ipvsadm -G --vips 10.9.0.0/24
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
10.9.0.0/24          1        
                              10.9.1.1             0          0          1025-65535  0          0          local
$ ipvsadm -Sn
-E --vips 10.9.0.0/24 --fullnat --toa 254
-P --vips 10.9.0.0/24 -z 10.9.1.1
-E --vips 10.9.0.0/28 --fullnat
-E --vips 2001:db8::/64 --fullnat --toa off
-P --vips 2001:db8::/64 -z fd00::1
# a service is added by anybody
$ ipvsadm -A -t 10.9.0.200:80 -s rr
$ ipvsadm -a -t 10.9.0.200:80 -r 10.9.2.1:80
$ ipvsadm -a -t 10.9.0.200:80 -r 10.9.2.2:80 -m
$ ipvsadm -A -t 10.9.7.1:80 -s rr
$ ipvsadm -a -t 10.9.7.1:80 -r 10.9.2.2:80 -m
$ ipvsadm -A -u [2001:db8::53]:53 -s rr
$ ipvsadm -a -u [2001:db8::53]:53 -r [2001:db8:2::1]:53 -m
$ ipvsadm -A -u 10.9.0.200:53 -s rr -o
One-Packet Scheduling is not possible for FULLNAT virtual services
[2]
$ ipvsadm -E -t 10.9.0.5:80 --fullnat
Note: IPVS does not have the service -t 10.9.0.5:80 now
Warning: -t 10.9.0.5:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.5:80 -z ADDRESS'
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.200:80 rr
  -> 10.9.2.1:80                  FullNat 1      0          0         
  -> 10.9.2.2:80                  FullNat 1      0          0         
TCP  10.9.7.1:80 rr
  -> 10.9.2.2:80                  Masq    1      0          0         
UDP  [2001:db8::53]:53 rr
  -> [2001:db8:2::1]:53           FullNat 1      0          0         
Default FULLNAT: --vips 10.9.0.0/24
Default FULLNAT: --vips 10.9.0.0/28
Declared FULLNAT, not in IPVS: -t 10.9.0.5:80
Default FULLNAT: --vips 2001:db8::/64
$ ipvsadm -Ln --stats
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.9.0.200:80                       0        0        0        0        0
  -> 10.9.2.1:80                         0        0        0        0        0
  -> 10.9.2.2:80                         0        0        0        0        0
TCP  10.9.7.1:80                         0        0        0        0        0
  -> 10.9.2.2:80                         0        0        0        0        0
UDP  [2001:db8::53]:53                   0        0        0        0        0
  -> [2001:db8:2::1]:53                  0        0        0        0        0
$ ipvsadm -Ln -t 10.9.0.200:80
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.200:80 rr
  -> 10.9.2.1:80                  FullNat 1      0          0         
  -> 10.9.2.2:80                  FullNat 1      0          0         
$ ipvsadm -Sn
-E --vips 10.9.0.0/24 --fullnat --toa 254
-P --vips 10.9.0.0/24 -z 10.9.1.1
-E --vips 10.9.0.0/28 --fullnat
-E --vips 2001:db8::/64 --fullnat --toa off
-P --vips 2001:db8::/64 -z fd00::1
-A -t 10.9.0.200:80 -s rr
-a -t 10.9.0.200:80 -r 10.9.2.1:80 -b -w 1
-a -t 10.9.0.200:80 -r 10.9.2.2:80 -m -w 1
-A -t 10.9.7.1:80 -s rr
-a -t 10.9.7.1:80 -r 10.9.2.2:80 -m -w 1
-A -u [2001:db8::53]:53 -s rr
-a -u [2001:db8::53]:53 -r [2001:db8:2::1]:53 -m -w 1
-E -t 10.9.0.5:80 --fullnat
$ ipvsadm -Q --vips 10.9.0.0/24 -z 10.9.1.1
Warning: --vips 10.9.0.0/24 has no local address: its connections will be dropped until one is added, by `ipvsadm -P --vips 10.9.0.0/24 -z ADDRESS'
$ ipvsadm -D --vips 10.9.0.0/24
$ ipvsadm -D --vips 10.9.0.0/24
the service is not declared FULLNAT: declare it with ipvsadm -A ... --fullnat
[255]
$ ipvsadm -Ln
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.9.0.200:80 rr
  -> 10.9.2.1:80                  FullNat 1      0          0         
  -> 10.9.2.2:80                  Masq    1      0          0         
TCP  10.9.7.1:80 rr
  -> 10.9.2.2:80                  Masq    1      0          0         
UDP  [2001:db8::53]:53 rr
  -> [2001:db8:2::1]:53           FullNat 1      0          0         
Default FULLNAT: --vips 10.9.0.0/28
Declared FULLNAT, not in IPVS: -t 10.9.0.5:80
Default FULLNAT: --vips 2001:db8::/64
$ ipvsadm -C
$ ipvsadm -Sn
# what is none
$ ipvsadm -E --vips 10.9.0.1 --fullnat
illegal prefix of virtual addresses `10.9.0.1': it is written ADDRESS/LENGTH
[2]
$ ipvsadm -E --vips 10.9.0.1/24 --fullnat
illegal prefix of virtual addresses `10.9.0.1/24': the address is not the first one of the prefix
[2]
$ ipvsadm -E --vips 10.9.0.0/33 --fullnat
illegal prefix of virtual addresses `10.9.0.0/33': the length of the prefix is not a legal number
[2]
$ ipvsadm -E --vips 0.0.0.0/0 --fullnat
illegal prefix of virtual addresses `0.0.0.0/0': all addresses are too many: name those of the services
[2]
$ ipvsadm -E --vips ::/0 --fullnat
illegal prefix of virtual addresses `::/0': all addresses are too many: name those of the services
[2]
$ ipvsadm -E --vips localhost/8 --fullnat
illegal prefix of virtual addresses `localhost/8': the address is not a legal one
[2]
$ ipvsadm -E --vips /8 --fullnat
illegal prefix of virtual addresses `/8': the address is not a legal one
[2]
$ ipvsadm -E --vips 10.0.0.0/8/8 --fullnat
illegal prefix of virtual addresses `10.0.0.0/8/8': the length of the prefix is not a legal number
[2]
$ ipvsadm -E --vips 10.0.0.0/-8 --fullnat
illegal prefix of virtual addresses `10.0.0.0/-8': the length of the prefix is not a legal number
[2]
$ ipvsadm -E --vips 1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/64 --fullnat
illegal prefix of virtual addresses `1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/64': it is written ADDRESS/LENGTH
[2]
$ ipvsadm -E --vips 10.9.0.0/24
The 'vips' option needs the 'fullnat' option here
[2]
$ ipvsadm -E --vips 10.9.0.0/24 -s rr --fullnat
With the 'vips' option only FULLNAT options can be given: services are added one by one
[2]
$ ipvsadm -A --vips 10.9.0.0/24 -t 10.9.0.1:80 --fullnat
multiple 'service-address' options specified
[2]
$ ipvsadm -a --vips 10.9.0.0/24 -r 10.9.2.1:80
Illegal 'vips' option with the 'add-server' command
[2]
$ ipvsadm -L --vips 10.9.0.0/24
Illegal 'vips' option with the 'list' command
[2]
$ ipvsadm -Z --vips 10.9.0.0/24
Illegal 'vips' option with the 'zero' command
[2]
$ ipvsadm -E --vips 10.9.0.0/24 --fullnat --toa 253
unknown TOA kind `253': for an IPv4 service it is one of 200, 254 and off
[2]
$ ipvsadm -Q --vips 10.9.0.0/24 -z 10.9.1.1
the service is not declared FULLNAT: declare it with ipvsadm -A ... --fullnat
[255]
$ ipvsadm -Sn
